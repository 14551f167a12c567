-- generated from pipelines/map by `concord write`; do not edit
-- The prices that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_prices"]) }}

with said as (
    select coalesce(links.key, stg.price_number) as price_number
    from {{ ref("stg_prices") }} as stg
    left join {{ ref("links_prices") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct price_number from said where price_number is not null
union
select key from {{ ref("ledger_prices") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.price_number
from {{ ref("stg_prices") }} as stg
join {{ ref("ledger_prices") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.price_number is not null
union
-- What waited for one of products and may now go on.
select price_number from {{ previous("prices", columns="price_number, sku, is_sku_known") }}
where not is_sku_known and sku in (select sku from {{ ref("products") }})
union
-- A record that two complete files running do not mention.
select price_number from {{ ref("stg_prices") }}
where system = 'wholesale' and stream = 'contract_prices' and not is_rejected
group by price_number
having max(occurred_at) < (
    select min(occurred_at) from (
        select distinct occurred_at from {{ ref("stg_prices") }}
        where system = 'wholesale' and stream = 'contract_prices' and not is_rejected
        order by occurred_at desc limit 2
    )
)
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select price_number from {{ previous("touched_prices", columns="price_number") }}
{% endif %}

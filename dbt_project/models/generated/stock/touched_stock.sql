-- generated from pipelines/map by `concord write`; do not edit
-- The stock that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_stock"]) }}

with said as (
    select sku, location from {{ ref("stg_stock") }}
    where {{ in_batch("inbox_id") }}
)

select distinct sku, location from said where sku is not null
union
select sku, location from {{ previous("stock", columns="sku, location") }}
where concat_ws('|', sku, location) in (select key from {{ ref("ledger_stock") }} where {{ in_batch("ledger_id") }})
union
-- A record that two complete files running do not mention.
select sku, location from {{ ref("stg_stock") }}
where system = 'warehouse' and stream = 'stock_counts' and not is_rejected
group by sku, location
having max(occurred_at) < (
    select min(occurred_at) from (
        select distinct occurred_at from {{ ref("stg_stock") }}
        where system = 'warehouse' and stream = 'stock_counts' and not is_rejected
        order by occurred_at desc limit 2
    )
)
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select sku, location from {{ previous("touched_stock", columns="sku, location") }}
{% endif %}

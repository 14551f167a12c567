-- generated from pipelines/map by `concord write`; do not edit
-- The fulfilments that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_fulfilments"]) }}

with said as (
    select coalesce(links.key, stg.fulfilment_number) as fulfilment_number
    from {{ ref("stg_fulfilments") }} as stg
    left join {{ ref("links_fulfilments") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct fulfilment_number from said where fulfilment_number is not null
union
select key from {{ ref("ledger_fulfilments") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.fulfilment_number
from {{ ref("stg_fulfilments") }} as stg
join {{ ref("ledger_fulfilments") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.fulfilment_number is not null
union
-- What waited for one of orders and may now go on.
select fulfilment_number from {{ previous("fulfilments", columns="fulfilment_number, order_number, is_order_number_known") }}
where not is_order_number_known and order_number in (select order_number from {{ ref("orders") }})
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select fulfilment_number from {{ previous("touched_fulfilments", columns="fulfilment_number") }}
{% endif %}

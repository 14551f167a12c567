-- generated from pipelines/map by `concord write`; do not edit
-- The orders that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_orders"]) }}

with said as (
    select coalesce(links.key, stg.order_number) as order_number
    from {{ ref("stg_orders") }} as stg
    left join {{ ref("links_orders") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct order_number from said where order_number is not null
union
select key from {{ ref("ledger_orders") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.order_number
from {{ ref("stg_orders") }} as stg
join {{ ref("ledger_orders") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.order_number is not null
union
-- What waited for one of products and may now go on.
select order_number from {{ previous("order_lines", columns="order_number, sku, is_sku_known") }}
where not is_sku_known and sku in (select sku from {{ ref("products") }})
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select order_number from {{ previous("touched_orders", columns="order_number") }}
{% endif %}

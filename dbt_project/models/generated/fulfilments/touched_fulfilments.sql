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
{% if var("is_woken") %}
union
-- What keeps or breaks a rule since a record that it is held against has changed.
select fulfilment_number
from {{ previous("fulfilments", columns="fulfilment_number, order_number, location, status, tracking_number, carrier, shipped_at, delivered_at, rules_broken") }} as records
left join (
    select order_number as key_of_orders, struct_pack(placed_at := placed_at) as orders
    from {{ ref("orders") }}
) as of_orders on key_of_orders = records.order_number
where rules_broken is distinct from list_filter([
            if(not coalesce(shipped_at >= orders.placed_at, true), 'shipped_after_ordered breaks the rule shipped_at >= orders.placed_at' || ' (' || concat_ws(', ', 'shipped_at is ' || cast(shipped_at as varchar), 'orders.placed_at is ' || cast(orders.placed_at as varchar)) || ')', null)
        ], lambda broken: broken is not null)
{% endif %}
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select fulfilment_number from {{ previous("touched_fulfilments", columns="fulfilment_number") }}
{% endif %}

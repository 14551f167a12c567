-- generated from pipelines/map by `concord write`; do not edit
-- The receipts that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_receipts"]) }}

with said as (
    select coalesce(links.key, stg.receipt_number) as receipt_number
    from {{ ref("stg_receipts") }} as stg
    left join {{ ref("links_receipts") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct receipt_number from said where receipt_number is not null
union
select key from {{ ref("ledger_receipts") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.receipt_number
from {{ ref("stg_receipts") }} as stg
join {{ ref("ledger_receipts") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.receipt_number is not null
union
-- What waited for one of orders and may now go on.
select receipt_number from {{ previous("receipts", columns="receipt_number, order_number, is_order_number_known") }}
where not is_order_number_known and order_number in (select order_number from {{ ref("orders") }})
{% if var("is_woken") %}
union
-- What keeps or breaks a rule since a record that it is held against has changed.
select receipt_number
from {{ previous("receipts", columns="receipt_number, order_number, return_number, location, taken_in_at, rules_broken") }} as records
left join (
    select order_number as key_of_orders, struct_pack(placed_at := placed_at) as orders
    from {{ ref("orders") }}
) as of_orders on key_of_orders = records.order_number
where rules_broken is distinct from list_filter([
            if(not coalesce(taken_in_at >= orders.placed_at, true), 'taken_in_after_ordered breaks the rule taken_in_at >= orders.placed_at' || ' (' || concat_ws(', ', 'taken_in_at is ' || cast(taken_in_at as varchar), 'orders.placed_at is ' || cast(orders.placed_at as varchar)) || ')', null)
        ], lambda broken: broken is not null)
{% endif %}
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select receipt_number from {{ previous("touched_receipts", columns="receipt_number") }}
{% endif %}

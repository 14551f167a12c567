-- generated from pipelines/map by `concord write`; do not edit
-- The refunds that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_refunds"]) }}

with said as (
    select coalesce(links.key, stg.refund_number) as refund_number
    from {{ ref("stg_refunds") }} as stg
    left join {{ ref("links_refunds") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct refund_number from said where refund_number is not null
union
select key from {{ ref("ledger_refunds") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.refund_number
from {{ ref("stg_refunds") }} as stg
join {{ ref("ledger_refunds") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.refund_number is not null
union
-- What waited for one of orders and may now go on.
select refund_number from {{ previous("refunds", columns="refund_number, order_number, is_order_number_known") }}
where not is_order_number_known and order_number in (select order_number from {{ ref("orders") }})
{% if var("is_woken") %}
union
-- What keeps or breaks a rule since a record that it is held against has changed.
select refund_number
from {{ previous("refunds", columns="refund_number, order_number, payment_number, status, currency, amount, reason, return_number, is_exchange, is_cancellation, refunded_at, recorded_at, credit_number, credited, rules_broken") }} as records
left join (
    select order_number as key_of_orders, struct_pack(currency := currency, total := total) as orders
    from {{ ref("orders") }}
) as of_orders on key_of_orders = records.order_number
where rules_broken is distinct from list_filter([
            if(not coalesce(amount <= orders.total or currency <> orders.currency, true), 'not_above_the_order breaks the rule amount <= orders.total or currency <> orders.currency' || ' (' || concat_ws(', ', 'currency is ' || cast(currency as varchar), 'amount is ' || cast(amount as varchar), 'orders.currency is ' || cast(orders.currency as varchar), 'orders.total is ' || cast(orders.total as varchar)) || ')', null)
        ], lambda broken: broken is not null)
{% endif %}
union
-- What is open and counts with others: each sum is looked at again as a whole.
select refund_number from {{ previous("wanted_refunds", columns="refund_number, flow, is_wanted") }} where is_wanted and flow in ('refunds_to_payments', 'refunds_to_storefront')
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select refund_number from {{ previous("touched_refunds", columns="refund_number") }}
{% endif %}

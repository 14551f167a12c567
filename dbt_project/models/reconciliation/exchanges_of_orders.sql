-- One row per order of which goods were exchanged: what they were worth beyond the money that went back for them.
{{ config(materialized="view", tags=["reconcile_payments"]) }}

with taken_back as (
    select
        refund_number, order_number,
        sum(subtotal + if(coalesce(orders.prices_include_tax, false), 0, coalesce(tax, 0))) as worth
    from {{ ref("refund_lines") }} as refund_lines
    join {{ ref("refunds") }} as refunds using (refund_number)
    join {{ ref("orders") }} as orders using (order_number)
    where refunds.is_exchange and refund_lines.removed_at is null and restock in ('returned', 'kept')
    group by all
)

select order_number, sum(taken_back.worth - refunds.amount) as set_off
from taken_back
join {{ ref("refunds") }} as refunds using (refund_number, order_number)
group by order_number

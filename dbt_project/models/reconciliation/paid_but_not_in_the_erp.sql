-- One row per payment whose money we keep and that finance cannot see: its order is unknown, or stands in no ERP.
{{ config(materialized="view", tags=["reconcile_payments"]) }}

with kept as (
    select *, captured - coalesce(refunded, 0) as money
    from {{ ref("payments") }}
    where captured > coalesce(refunded, 0) and deleted_at is null
),

-- Why an order is not sent on.
held as (
    select order_number, max(held_because) as because
    from {{ ref("wanted_orders") }}
    group by order_number
)

select
    kept.payment_number as key,
    case
        when orders.order_number is null then 'no order'
        when sales.order_number is null then 'not in the ERP'
        else 'cancelled in the ERP'
    end as kind,
    as_travelling(kept.money) || ' ' || kept.currency as one_value,
    sales.status as other_value,
    greatest(kept.last_received_at, orders.last_received_at, sales.told_at) as since,
    case
        when kept.order_number is null then 'the payment names no order: find the customer, then make the order or give the money back'
        when orders.order_number is null then
            'nobody told of order ' || kept.order_number || ': see in the shop whether it failed; import it there, or give the money back'
        when held.because is not null then 'held: ' || held.because
        else 'concord repair orders_to_erp ' || kept.order_number
    end as next_step
from kept
left join {{ ref("orders") }} as orders using (order_number)
left join {{ ref("erp_sales") }} as sales using (order_number)
left join held using (order_number)
where orders.order_number is null
    or (orders.deleted_at is null and orders.status <> 'cancelled' and coalesce(sales.status, 'cancelled') = 'cancelled')

-- One row per order that anybody paid for: what was captured, given back and kept, in the currency that the customer pays.
{{ config(materialized="view", tags=["reconcile_payments", "reconcile_refunds"]) }}

select
    order_number,
    min(currency) as currency,
    count(distinct currency) as currencies,
    count(*) as payments,
    sum(captured) as captured,
    sum(coalesce(refunded, 0)) as refunded,
    sum(captured - coalesce(refunded, 0)) as kept,
    coalesce(bool_or(dispute = 'lost'), false) as is_dispute_lost,
    max(last_received_at) as told_at,
    string_agg(payment_number, ', ' order by payment_number) as payment_numbers
from {{ ref("payments") }}
where captured > 0 and order_number is not null and deleted_at is null
group by order_number

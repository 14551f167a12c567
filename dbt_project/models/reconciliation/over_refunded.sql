-- One row per payment of which more went back, or is owed, than was ever captured.
{{ config(materialized="view", tags=["reconcile_refunds"]) }}

with given_back as (
    select
        payment_number,
        sum(amount) as amount,
        sum(amount) filter (where status <> 'owed') as paid,
        max(last_received_at) as told_at,
        string_agg(refund_number, ', ' order by refund_number) as refund_numbers
    from {{ ref("refunds") }}
    where status in ('owed', 'pending', 'paid') and deleted_at is null
    group by payment_number
)

select
    payment_number as key,
    if(given_back.paid > payments.captured + 0.005, 'over-refunded', 'would be over-refunded') as kind,
    as_travelling(given_back.amount) || ' ' || payments.currency as one_value,
    as_travelling(payments.captured) || ' ' || payments.currency as other_value,
    greatest(given_back.told_at, payments.last_received_at) as since,
    'find out which of ' || given_back.refund_numbers || ' was made twice, and ask the customer for what is too much' as next_step
from given_back
join {{ ref("payments") }} as payments using (payment_number)
where given_back.amount > coalesce(payments.captured, 0) + 0.005

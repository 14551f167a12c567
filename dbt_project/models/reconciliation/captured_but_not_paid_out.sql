-- One row per captured payment whose money is in no payout, or in one that never reached the bank.
{{ config(materialized="view", tags=["reconcile_payouts"]) }}

with charged as (
    select
        transactions.payment_number,
        any_value(transactions.payout_number) as payout_number,
        bool_or(payouts.status in ('pending', 'in_transit', 'paid')) as is_paid_out,
        max(payouts.status) filter (where payouts.status in ('cancelled', 'failed')) as came_back
    from {{ ref("balance_transactions") }} as transactions
    left join {{ ref("payouts") }} as payouts using (payout_number)
    where transactions.kind in ('charge', 'payment') and transactions.payment_number is not null and transactions.deleted_at is null
    group by transactions.payment_number
)

select
    payments.payment_number as key,
    case
        when charged.payment_number is null then 'never reached the balance'
        when charged.came_back is not null then 'payout ' || charged.came_back
        else 'not paid out'
    end as kind,
    as_travelling(payments.captured) || ' ' || payments.currency as one_value,
    charged.payout_number as other_value,
    payments.happened_at as since,
    case
        when charged.came_back is not null then 'see why the bank did not take payout ' || charged.payout_number || '; the payment service tries again once its account is mended'
        else 'look at the balance of the payment service for ' || payments.origin_remote_id || ', and at what holds its payouts'
    end as next_step
from {{ ref("payments") }} as payments
left join charged using (payment_number)
where payments.captured > 0 and payments.deleted_at is null and not coalesce(charged.is_paid_out, false)

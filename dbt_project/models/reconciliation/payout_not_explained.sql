-- One row per payout whose amount is not what its transactions come to, less their fees.
{{ config(materialized="view", tags=["reconcile_payouts"]) }}

with explained as (
    select
        payout_number, sum(net) as net, sum(fee) as fees, count(*) as transactions, count(distinct currency) as currencies,
        max(last_received_at) as told_at
    from {{ ref("balance_transactions") }}
    where kind <> 'payout' and payout_number is not null and deleted_at is null  -- its own is what it takes off the balance
    group by payout_number
)

select
    payouts.payout_number as key,
    case
        when explained.payout_number is null then 'no transactions'
        when explained.currencies > 1 then 'several currencies'
        else 'not explained'
    end as kind,
    as_travelling(payouts.amount) || ' ' || payouts.currency as one_value,
    as_travelling(coalesce(explained.net, 0)) || ' ' || payouts.currency as other_value,
    greatest(payouts.last_received_at, explained.told_at) as since,
    case
        when explained.payout_number is null then 'wait for the next poll of balance_transactions, then ask the payment service for the report of ' || payouts.origin_remote_id
        else 'compare ' || explained.transactions || ' transactions, with fees of ' || as_travelling(explained.fees)
            || ', with the report of ' || payouts.origin_remote_id || ' at the payment service; '
            || as_travelling(abs(payouts.amount - explained.net)) || ' is ' || if(payouts.amount < explained.net, 'missing at the bank', 'unexplained')
    end as next_step
from {{ ref("payouts") }} as payouts
left join explained using (payout_number)
where payouts.is_automatic and payouts.status in ('pending', 'in_transit', 'paid') and payouts.deleted_at is null
    and (explained.payout_number is null or explained.currencies > 1 or abs(payouts.amount - explained.net) > 0.005)

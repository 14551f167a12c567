-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on payouts and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_payouts"]) }}

with

-- The newest word of a status's owner lies before what we hold and before what it said itself, and no person has decided.
steps_back as (
    select
        payout_number, system, 'status' as field, 'forbidden' as on_foreign_write,
        our_value as value_before, arg_max(status, order_key) as value_now, arg_max(received_at, order_key) as seen_at, our_value
    from {{ told_of(ref("stg_payouts"), ref("links_payouts"), ref("touched_payouts"), key="payout_number") }} as told
    join (select payout_number, origin_system, status as our_value from {{ ref("payouts") }}) as ours using (payout_number)
    where said.status and broken.status is null and status is not null and not is_rejected and system = 'stripe'
        and payout_number not in (
            select key from {{ ref("ledger_payouts") }}
            where field = 'status' and kind in ('decided', 'revoked')
            group by key having arg_max(kind, ledger_id) = 'decided'
        )
    group by payout_number, system, our_value
    having list_position(['pending', 'in_transit', 'paid', 'cancelled', 'failed'], arg_max(status, order_key)) < least(
        list_position(['pending', 'in_transit', 'paid', 'cancelled', 'failed'], our_value),
        max(list_position(['pending', 'in_transit', 'paid', 'cancelled', 'failed'], status))
    )
    
)

select *, 'team:finance' as steward
from (
    select * from steps_back
)

-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on payments and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_payments"]) }}

with

-- The newest word of a status's owner lies before what we hold and before what it said itself, and no person has decided.
steps_back as (
    select
        payment_number, system, 'status' as field, 'forbidden' as on_foreign_write,
        our_value as value_before, arg_max(status, order_key) as value_now, arg_max(received_at, order_key) as seen_at, our_value
    from {{ told_of(ref("stg_payments"), ref("links_payments"), ref("touched_payments"), key="payment_number") }} as told
    join (select payment_number, origin_system, status as our_value from {{ ref("payments") }}) as ours using (payment_number)
    where said.status and broken.status is null and status is not null and not is_rejected and system = 'stripe'
        and payment_number not in (
            select key from {{ ref("ledger_payments") }}
            where field = 'status' and kind in ('decided', 'revoked')
            group by key having arg_max(kind, ledger_id) = 'decided'
        )
    group by payment_number, system, our_value
    having list_position(['pending', 'failed', 'authorised', 'voided', 'captured', 'refunded'], arg_max(status, order_key)) < least(
        list_position(['pending', 'failed', 'authorised', 'voided', 'captured', 'refunded'], our_value),
        max(list_position(['pending', 'failed', 'authorised', 'voided', 'captured', 'refunded'], status))
    )
    
)

select *, 'team:finance' as steward
from (
    select * from steps_back
)

-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on refunds and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_refunds"]) }}

with

-- The newest word of a status's owner lies before what we hold and before what it said itself, and no person has decided.
steps_back as (
    select
        refund_number, system, 'status' as field, 'forbidden' as on_foreign_write,
        our_value as value_before, arg_max(status, order_key) as value_now, arg_max(received_at, order_key) as seen_at, our_value
    from {{ told_of(ref("stg_refunds"), ref("links_refunds"), ref("touched_refunds"), key="refund_number") }} as told
    join (select refund_number, origin_system, origin_among_payments, status as our_value from {{ ref("refunds") }}) as ours using (refund_number)
    where said.status and broken.status is null and status is not null and not is_rejected and ((system = 'shopify') or (system = 'stripe'))
        and refund_number not in (
            select key from {{ ref("ledger_refunds") }}
            where field = 'status' and kind in ('decided', 'revoked')
            group by key having arg_max(kind, ledger_id) = 'decided'
        )
    group by refund_number, system, our_value
    having list_position(['owed', 'pending', 'paid', 'released', 'failed'], arg_max(status, order_key)) < least(
        list_position(['owed', 'pending', 'paid', 'released', 'failed'], our_value),
        max(list_position(['owed', 'pending', 'paid', 'released', 'failed'], status))
    )
    
)

select *, 'team:ecommerce' as steward
from (
    select * from steps_back
)

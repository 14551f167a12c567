-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on returns and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_returns"]) }}

with

-- The newest word of a status's owner lies before what we hold and before what it said itself, and no person has decided.
steps_back as (
    select
        return_number, system, 'status' as field, 'forbidden' as on_foreign_write,
        our_value as value_before, arg_max(status, order_key) as value_now, arg_max(received_at, order_key) as seen_at, our_value
    from {{ told_of(ref("stg_returns"), ref("links_returns"), ref("touched_returns"), key="return_number") }} as told
    join (select return_number, origin_system, status as our_value from {{ ref("returns") }}) as ours using (return_number)
    where said.status and broken.status is null and status is not null and not is_rejected and system = 'shopify'
        and return_number not in (
            select key from {{ ref("ledger_returns") }}
            where field = 'status' and kind in ('decided', 'revoked')
            group by key having arg_max(kind, ledger_id) = 'decided'
        )
    group by return_number, system, our_value
    having list_position(['requested', 'open', 'closed', 'declined', 'cancelled'], arg_max(status, order_key)) < least(
        list_position(['requested', 'open', 'closed', 'declined', 'cancelled'], our_value),
        max(list_position(['requested', 'open', 'closed', 'declined', 'cancelled'], status)) filter (where status not in ('closed'))
    )
    
)

select *, 'team:service' as steward
from (
    select * from steps_back
)

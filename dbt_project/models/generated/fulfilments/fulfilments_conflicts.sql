-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on fulfilments and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_fulfilments"]) }}

with

-- The newest word of a status's owner lies before what we hold and before what it said itself, and no person has decided.
steps_back as (
    select
        fulfilment_number, system, 'status' as field, 'forbidden' as on_foreign_write,
        our_value as value_before, arg_max(status, order_key) as value_now, arg_max(received_at, order_key) as seen_at, our_value
    from {{ told_of(ref("stg_fulfilments"), ref("links_fulfilments"), ref("touched_fulfilments"), key="fulfilment_number") }} as told
    join (select fulfilment_number, origin_system, status as our_value from {{ ref("fulfilments") }}) as ours using (fulfilment_number)
    where said.status and broken.status is null and status is not null and not is_rejected and ((system = 'warehouse') or (system = 'tryton') or (system = 'parcelhub'))
        and fulfilment_number not in (
            select key from {{ ref("ledger_fulfilments") }}
            where field = 'status' and kind in ('decided', 'revoked')
            group by key having arg_max(kind, ledger_id) = 'decided'
        )
    group by fulfilment_number, system, our_value
    having list_position(['labelled', 'dispatched', 'in_transit', 'out_for_delivery', 'exception', 'delivered', 'returned'], arg_max(status, order_key)) < least(
        list_position(['labelled', 'dispatched', 'in_transit', 'out_for_delivery', 'exception', 'delivered', 'returned'], our_value),
        max(list_position(['labelled', 'dispatched', 'in_transit', 'out_for_delivery', 'exception', 'delivered', 'returned'], status)) filter (where status not in ('out_for_delivery', 'exception'))
    )
    
)

select *, 'team:logistics' as steward
from (
    select * from steps_back
)

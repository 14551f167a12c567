-- generated from pipelines/map by `concord write`; do not edit
-- One row per parcel, whoever packed it, from its label to the customer's door. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_fulfilments"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_fulfilments"), ref("links_fulfilments"), ref("touched_fulfilments"), key="fulfilment_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        fulfilment_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by fulfilment_number
),

settled as (
    select
        fulfilment_number, origin_system, origin_remote_id,
        coalesce({{ latest("order_number", owner="system = 'warehouse'") }}, {{ latest("order_number", owner="system = 'tryton'") }}) as order_number,
        coalesce({{ latest("location", owner="system = 'warehouse'") }}, {{ latest("location", owner="system = 'tryton'") }}) as location,
        {{ furthest_but("status", owner="((system = 'warehouse') or (system = 'tryton') or (system = 'parcelhub'))", ladder="['labelled', 'dispatched', 'in_transit', 'out_for_delivery', 'exception', 'delivered', 'returned']", may_go_back="('out_for_delivery', 'exception')") }} as status,
        coalesce({{ latest("tracking_number", owner="system = 'warehouse'") }}, {{ latest("tracking_number", owner="system = 'tryton'") }}) as tracking_number,
        coalesce({{ latest("carrier", owner="system = 'warehouse'") }}, {{ latest("carrier", owner="system = 'tryton'") }}) as carrier,
        coalesce({{ latest("shipped_at", owner="system = 'warehouse'") }}, {{ latest("shipped_at", owner="system = 'tryton'") }}) as shipped_at,
        {{ first("delivered_at", owner="system = 'parcelhub'") }} as delivered_at,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'warehouse' or system = 'tryton'), order_key, null)) as deleted_at,
        arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)) as lines_inbox_id,
        list_distinct([
            coalesce({{ winner_of("order_number", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("order_number", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("location", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("location", owner="system = 'tryton'", by="order_key") }}),
            {{ winner_of_furthest_but("status", owner="((system = 'warehouse') or (system = 'tryton') or (system = 'parcelhub'))", ladder="['labelled', 'dispatched', 'in_transit', 'out_for_delivery', 'exception', 'delivered', 'returned']", may_go_back="('out_for_delivery', 'exception')") }},
            coalesce({{ winner_of("tracking_number", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("tracking_number", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("carrier", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("carrier", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("shipped_at", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("shipped_at", owner="system = 'tryton'", by="order_key") }}),
            {{ winner_of_first("delivered_at", owner="system = 'parcelhub'") }},
            arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)),
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'warehouse' or system = 'tryton'), order_key, null))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(if(is_rejected and system = origin_system, order_key, null))
                > max(if(not is_rejected and system = origin_system, order_key, null)), false
        ) then arg_max(reasons[1], if(is_rejected and system = origin_system, order_key, null)) end as rejected_since,
        bool_or(len(reasons) + len(warnings) > 0 and not is_rejected) as has_broken_fields,
        max(if(not is_rejected and system = origin_system, occurred_at, null)) as changed_at,
        max(if(is_rejected, null, inbox_id)) as last_inbox_id,
        max(if(is_rejected, null, received_at)) as last_received_at
    from messages
    join origins using (fulfilment_number)
    group by fulfilment_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        fulfilment_number,
        list_filter([
            'order_number ' || arg_max_null(broken.order_number, if(said.order_number and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null)),
            'location ' || arg_max_null(broken.location, if(said.location and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null)),
            'status ' || arg_max_null(broken.status, if(said.status and not is_rejected and ((system = 'warehouse') or (system = 'tryton') or (system = 'parcelhub')), order_key, null)),
            'carrier ' || arg_max_null(broken.carrier, if(said.carrier and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null)),
            'shipped_at ' || arg_max_null(broken.shipped_at, if(said.shipped_at and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null)),
            'delivered_at ' || arg_max_null(broken.delivered_at, if(said.delivered_at and not is_rejected and system = 'parcelhub', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select fulfilment_number, origin_system from settled where has_broken_fields) using (fulfilment_number)
    group by fulfilment_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as fulfilment_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'order_number', ledger_id, null)) as order_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'location', ledger_id, null)) as location_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'status', ledger_id, null)) as status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'tracking_number', ledger_id, null)) as tracking_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'carrier', ledger_id, null)) as carrier_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'shipped_at', ledger_id, null)) as shipped_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'delivered_at', ledger_id, null)) as delivered_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_fulfilments") }}
        where kind in ('decided', 'revoked') and key in (select fulfilment_number from {{ ref("touched_fulfilments") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)
,

records as (

select
    settled.fulfilment_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.order_number_told, settled.order_number) as varchar) as order_number,
    cast(coalesce(decisions.location_told, settled.location) as varchar) as location,
    cast(coalesce(decisions.status_told, settled.status) as varchar) as status,
    cast(coalesce(decisions.tracking_number_told, settled.tracking_number) as varchar) as tracking_number,
    cast(coalesce(decisions.carrier_told, settled.carrier) as varchar) as carrier,
    cast(coalesce(as_instant(decisions.shipped_at_told, 'UTC'), settled.shipped_at) as timestamptz) as shipped_at,
    cast(coalesce(as_instant(decisions.delivered_at_told, 'UTC'), settled.delivered_at) as timestamptz) as delivered_at,
    coalesce(order_number in (select order_number from {{ ref("orders") }}), false) as is_order_number_known,
    lines_inbox_id,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (fulfilment_number)
left join decisions using (fulfilment_number)
),

-- Held against the records of others, as these stand now.
held_against_others as (
    select
        records.*,
        list_filter([
            if(not coalesce(shipped_at >= orders.placed_at, true), 'shipped_after_ordered breaks the rule shipped_at >= orders.placed_at' || ' (' || concat_ws(', ', 'shipped_at is ' || cast(shipped_at as varchar), 'orders.placed_at is ' || cast(orders.placed_at as varchar)) || ')', null)
        ], lambda broken: broken is not null) as rules_broken
    from records
    left join (
        select order_number as key_of_orders, struct_pack(placed_at := placed_at) as orders
        from {{ ref("orders") }}
    ) as of_orders on key_of_orders = records.order_number
)

select
    * replace (warnings || rules_broken as warnings)
from held_against_others

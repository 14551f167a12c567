-- generated from pipelines/map by `concord write`; do not edit
-- One row per parcel that left, whoever packed it. For each field its owner's word wins, whatever order the messages came in.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "fulfilment_number", "touched": "touched_fulfilments", "at_once": {"touched_fulfilments": 60000}},
    tags=["sync_fulfilments"],
) }}
-- depends_on: {{ ref("touched_fulfilments") }}

with
messages as (
    select
        * exclude (by_whom) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_fulfilments"), ref("links_fulfilments"), key="fulfilment_number") }}
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
        coalesce({{ latest("tracking_number", owner="system = 'warehouse'") }}, {{ latest("tracking_number", owner="system = 'tryton'") }}) as tracking_number,
        coalesce({{ latest("carrier", owner="system = 'warehouse'") }}, {{ latest("carrier", owner="system = 'tryton'") }}) as carrier,
        coalesce({{ latest("shipped_at", owner="system = 'warehouse'") }}, {{ latest("shipped_at", owner="system = 'tryton'") }}) as shipped_at,
        arg_max_null(if(is_deletion, occurred_at, null), order_key) filter (where not is_rejected and (system = 'warehouse' or system = 'tryton')) as deleted_at,
        arg_max(inbox_id, order_key) filter (where tells_lines and not is_rejected and system = origin_system) as lines_inbox_id,
        list_distinct([
            coalesce({{ winner_of("order_number", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("order_number", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("location", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("location", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("tracking_number", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("tracking_number", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("carrier", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("carrier", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("shipped_at", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("shipped_at", owner="system = 'tryton'", by="order_key") }}),
            arg_max(inbox_id, order_key) filter (where tells_lines and not is_rejected and system = origin_system),
            arg_max(inbox_id, order_key) filter (where is_deletion and not is_rejected and (system = 'warehouse' or system = 'tryton'))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(order_key) filter (where is_rejected and system = origin_system)
                > max(order_key) filter (where not is_rejected and system = origin_system), false
        ) then arg_max(reasons[1], order_key) filter (where is_rejected and system = origin_system) end as rejected_since,
        bool_or(len(reasons) > 0 and not is_rejected) as has_broken_fields,
        max(occurred_at) filter (where not is_rejected and system = origin_system) as changed_at,
        max(inbox_id) filter (where not is_rejected) as last_inbox_id,
        max(received_at) filter (where not is_rejected) as last_received_at
    from messages
    join origins using (fulfilment_number)
    group by fulfilment_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays.
flags as (
    select
        fulfilment_number,
        list_filter([
            'order_number ' || arg_max_null(broken.order_number, order_key) filter (where said.order_number and not is_rejected and ((system = 'warehouse') or (system = 'tryton'))),
            'location ' || arg_max_null(broken.location, order_key) filter (where said.location and not is_rejected and ((system = 'warehouse') or (system = 'tryton'))),
            'tracking_number ' || arg_max_null(broken.tracking_number, order_key) filter (where said.tracking_number and not is_rejected and ((system = 'warehouse') or (system = 'tryton'))),
            'carrier ' || arg_max_null(broken.carrier, order_key) filter (where said.carrier and not is_rejected and ((system = 'warehouse') or (system = 'tryton'))),
            'shipped_at ' || arg_max_null(broken.shipped_at, order_key) filter (where said.shipped_at and not is_rejected and ((system = 'warehouse') or (system = 'tryton')))
        ], lambda flag: flag is not null) as flags
    from messages
    join (select fulfilment_number, origin_system from settled where has_broken_fields) using (fulfilment_number)
    group by fulfilment_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as fulfilment_number,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'order_number') as order_number_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'location') as location_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'tracking_number') as tracking_number_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'carrier') as carrier_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'shipped_at') as shipped_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_fulfilments") }}
        where kind in ('decided', 'revoked') and key in (select fulfilment_number from temp.keys_in_turn)
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.fulfilment_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.order_number_told, settled.order_number) as varchar) as order_number,
    cast(coalesce(decisions.location_told, settled.location) as varchar) as location,
    cast(coalesce(decisions.tracking_number_told, settled.tracking_number) as varchar) as tracking_number,
    cast(coalesce(decisions.carrier_told, settled.carrier) as varchar) as carrier,
    cast(coalesce(as_instant(decisions.shipped_at_told, 'UTC'), settled.shipped_at) as timestamptz) as shipped_at,
    coalesce(order_number in (select order_number from {{ ref("orders") }}), false) as is_order_number_known,
    lines_inbox_id,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (fulfilment_number)
left join decisions using (fulfilment_number)

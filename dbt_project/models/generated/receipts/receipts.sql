-- generated from pipelines/map by `concord write`; do not edit
-- One row per parcel that came back, whoever took it in. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_receipts"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_receipts"), ref("links_receipts"), ref("touched_receipts"), key="receipt_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        receipt_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by receipt_number
),

settled as (
    select
        receipt_number, origin_system, origin_remote_id,
        coalesce({{ latest("order_number", owner="system = 'warehouse'") }}, {{ latest("order_number", owner="system = 'tryton'") }}) as order_number,
        coalesce({{ latest("return_number", owner="system = 'warehouse'") }}, {{ latest("return_number", owner="system = 'tryton'") }}) as return_number,
        coalesce({{ latest("location", owner="system = 'warehouse'") }}, {{ latest("location", owner="system = 'tryton'") }}) as location,
        coalesce({{ latest("taken_in_at", owner="system = 'warehouse'") }}, {{ latest("taken_in_at", owner="system = 'tryton'") }}) as taken_in_at,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'warehouse' or system = 'tryton'), order_key, null)) as deleted_at,
        arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)) as lines_inbox_id,
        list_distinct([
            coalesce({{ winner_of("order_number", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("order_number", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("return_number", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("return_number", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("location", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("location", owner="system = 'tryton'", by="order_key") }}),
            coalesce({{ winner_of("taken_in_at", owner="system = 'warehouse'", by="order_key") }}, {{ winner_of("taken_in_at", owner="system = 'tryton'", by="order_key") }}),
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
    join origins using (receipt_number)
    group by receipt_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        receipt_number,
        list_filter([
            'order_number ' || arg_max_null(broken.order_number, if(said.order_number and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null)),
            'return_number ' || arg_max_null(broken.return_number, if(said.return_number and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null)),
            'location ' || arg_max_null(broken.location, if(said.location and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null)),
            'taken_in_at ' || arg_max_null(broken.taken_in_at, if(said.taken_in_at and not is_rejected and ((system = 'warehouse') or (system = 'tryton')), order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select receipt_number, origin_system from settled where has_broken_fields) using (receipt_number)
    group by receipt_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as receipt_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'order_number', ledger_id, null)) as order_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'return_number', ledger_id, null)) as return_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'location', ledger_id, null)) as location_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'taken_in_at', ledger_id, null)) as taken_in_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_receipts") }}
        where kind in ('decided', 'revoked') and key in (select receipt_number from {{ ref("touched_receipts") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)
,

records as (

select
    settled.receipt_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.order_number_told, settled.order_number) as varchar) as order_number,
    cast(coalesce(decisions.return_number_told, settled.return_number) as varchar) as return_number,
    cast(coalesce(decisions.location_told, settled.location) as varchar) as location,
    cast(coalesce(as_instant(decisions.taken_in_at_told, 'UTC'), settled.taken_in_at) as timestamptz) as taken_in_at,
    coalesce(order_number in (select order_number from {{ ref("orders") }}), false) as is_order_number_known,
    lines_inbox_id,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (receipt_number)
left join decisions using (receipt_number)
),

-- Held against the records of others, as these stand now.
held_against_others as (
    select
        records.*,
        list_filter([
            if(not coalesce(taken_in_at >= orders.placed_at, true), 'taken_in_after_ordered breaks the rule taken_in_at >= orders.placed_at' || ' (' || concat_ws(', ', 'taken_in_at is ' || cast(taken_in_at as varchar), 'orders.placed_at is ' || cast(orders.placed_at as varchar)) || ')', null)
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

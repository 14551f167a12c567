-- generated from pipelines/map by `concord write`; do not edit
-- One row per return that a customer asked for, as the shop's service answered it. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_returns"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_returns"), ref("links_returns"), ref("touched_returns"), key="return_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        return_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by return_number
),

settled as (
    select
        return_number, origin_system, origin_remote_id,
        {{ latest("order_number", owner="system = 'shopify'") }} as order_number,
        {{ latest("name", owner="system = 'shopify'") }} as name,
        {{ furthest_but("status", owner="system = 'shopify'", ladder="['requested', 'open', 'closed', 'declined', 'cancelled']", may_go_back="('closed')") }} as status,
        {{ latest("exchanged", owner="system = 'shopify'") }} as exchanged,
        {{ latest("opened_at", owner="system = 'shopify'") }} as opened_at,
        {{ latest("closed_at", owner="system = 'shopify'") }} as closed_at,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'shopify'), order_key, null)) as deleted_at,
        arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)) as lines_inbox_id,
        list_distinct([
            {{ winner_of("order_number", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("name", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of_furthest_but("status", owner="system = 'shopify'", ladder="['requested', 'open', 'closed', 'declined', 'cancelled']", may_go_back="('closed')") }},
            {{ winner_of("exchanged", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("opened_at", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("closed_at", owner="system = 'shopify'", by="order_key") }},
            arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)),
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'shopify'), order_key, null))
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
    join origins using (return_number)
    group by return_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        return_number,
        list_filter([
            'order_number ' || arg_max_null(broken.order_number, if(said.order_number and not is_rejected and system = 'shopify', order_key, null)),
            'name ' || arg_max_null(broken.name, if(said.name and not is_rejected and system = 'shopify', order_key, null)),
            'status ' || arg_max_null(broken.status, if(said.status and not is_rejected and system = 'shopify', order_key, null)),
            'exchanged ' || arg_max_null(broken.exchanged, if(said.exchanged and not is_rejected and system = 'shopify', order_key, null)),
            'opened_at ' || arg_max_null(broken.opened_at, if(said.opened_at and not is_rejected and system = 'shopify', order_key, null)),
            'closed_at ' || arg_max_null(broken.closed_at, if(said.closed_at and not is_rejected and system = 'shopify', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select return_number, origin_system from settled where has_broken_fields) using (return_number)
    group by return_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as return_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'order_number', ledger_id, null)) as order_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'name', ledger_id, null)) as name_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'status', ledger_id, null)) as status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'exchanged', ledger_id, null)) as exchanged_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'opened_at', ledger_id, null)) as opened_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'closed_at', ledger_id, null)) as closed_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_returns") }}
        where kind in ('decided', 'revoked') and key in (select return_number from {{ ref("touched_returns") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)
,

records as (

select
    settled.return_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.order_number_told, settled.order_number) as varchar) as order_number,
    cast(coalesce(decisions.name_told, settled.name) as varchar) as name,
    cast(coalesce(decisions.status_told, settled.status) as varchar) as status,
    cast(coalesce(as_whole(decisions.exchanged_told), settled.exchanged) as bigint) as exchanged,
    cast(coalesce(as_instant(decisions.opened_at_told, 'UTC'), settled.opened_at) as timestamptz) as opened_at,
    cast(coalesce(as_instant(decisions.closed_at_told, 'UTC'), settled.closed_at) as timestamptz) as closed_at,
    coalesce(order_number in (select order_number from {{ ref("orders") }}), false) as is_order_number_known,
    lines_inbox_id,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (return_number)
left join decisions using (return_number)
),

-- Held against the records of others, as these stand now.
held_against_others as (
    select
        records.*,
        list_filter([
            if(not coalesce(opened_at >= orders.placed_at, true), 'returned_after_ordered breaks the rule opened_at >= orders.placed_at' || ' (' || concat_ws(', ', 'opened_at is ' || cast(opened_at as varchar), 'orders.placed_at is ' || cast(orders.placed_at as varchar)) || ')', null)
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

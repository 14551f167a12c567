-- generated from pipelines/map by `concord write`; do not edit
-- One row per SKU and location, as the location's own system counted it. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_stock"]) }}

with
messages as (
    select stg.* replace (cast(stg.order_key as hugeint) as order_key), false as is_ours
    from {{ ref("stg_stock") }} as stg
    semi join {{ ref("touched_stock") }} using (sku, location)
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        sku, location,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by sku, location
),

settled as (
    select
        sku, location, origin_system, origin_remote_id,
        {{ latest("on_hand", owner="system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end") }} as on_hand,
        {{ latest("counted_at", owner="system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end") }} as counted_at,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end), order_key, null)) as deleted_at,
        list_distinct([
            {{ winner_of("on_hand", owner="system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end", by="order_key") }},
            {{ winner_of("counted_at", owner="system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end", by="order_key") }},
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end), order_key, null))
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
    join origins using (sku, location)
    group by sku, location, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        sku, location,
        list_filter([
            'on_hand ' || arg_max_null(broken.on_hand, if(said.on_hand and not is_rejected and system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end, order_key, null)),
            'counted_at ' || arg_max_null(broken.counted_at, if(said.counted_at and not is_rejected and system = case location when 'MAIN' then 'tryton' when 'STORE' then 'tryton' when '3PL' then 'warehouse' end, order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select sku, location, origin_system from settled where has_broken_fields) using (sku, location)
    group by sku, location
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select sku, location,
        arg_max(if(kind = 'decided', value, null), if(field = 'on_hand', ledger_id, null)) as on_hand_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'counted_at', ledger_id, null)) as counted_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_stock") }}
        join {{ ref("touched_stock") }} on concat_ws('|', sku, location) = key
        where kind in ('decided', 'revoked')
    )
    where age = 1 and kind = 'decided'
    group by sku, location
)

select
    settled.sku,
    settled.location,
    origin_system, origin_remote_id,
    cast(coalesce(as_whole(decisions.on_hand_told), settled.on_hand) as bigint) as on_hand,
    cast(coalesce(as_instant(decisions.counted_at_told, 'UTC'), settled.counted_at) as timestamptz) as counted_at,
    coalesce(deleted_at, absences.absent_since) as deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (sku, location)
left join decisions using (sku, location)
left join {{ absences("stock", system="warehouse", stream="stock_counts", largest="5%", key="sku, location") }} as absences using (sku, location)

-- generated from pipelines/map by `concord write`; do not edit
-- One row per payout, the money that the payment service sends to the bank. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_payouts"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_payouts"), ref("links_payouts"), ref("touched_payouts"), key="payout_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        payout_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by payout_number
),

settled as (
    select
        payout_number, origin_system, origin_remote_id,
        {{ furthest("status", owner="system = 'stripe'", ladder="['pending', 'in_transit', 'paid', 'cancelled', 'failed']") }} as status,
        {{ latest("currency", owner="system = 'stripe'") }} as currency,
        {{ latest("amount", owner="system = 'stripe'") }} as amount,
        {{ latest("is_automatic", owner="system = 'stripe'") }} as is_automatic,
        {{ latest("made_at", owner="system = 'stripe'") }} as made_at,
        {{ latest("arrives_at", owner="system = 'stripe'") }} as arrives_at,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'stripe'), order_key, null)) as deleted_at,
        list_distinct([
            {{ winner_of("status", owner="system = 'stripe'", by="(list_position(['pending', 'in_transit', 'paid', 'cancelled', 'failed'], status), order_key)") }},
            {{ winner_of("currency", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("amount", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("is_automatic", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("made_at", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("arrives_at", owner="system = 'stripe'", by="order_key") }},
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'stripe'), order_key, null))
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
    join origins using (payout_number)
    group by payout_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        payout_number,
        list_filter([
            'status ' || arg_max_null(broken.status, if(said.status and not is_rejected and system = 'stripe', order_key, null)),
            'currency ' || arg_max_null(broken.currency, if(said.currency and not is_rejected and system = 'stripe', order_key, null)),
            'amount ' || arg_max_null(broken.amount, if(said.amount and not is_rejected and system = 'stripe', order_key, null)),
            'is_automatic ' || arg_max_null(broken.is_automatic, if(said.is_automatic and not is_rejected and system = 'stripe', order_key, null)),
            'made_at ' || arg_max_null(broken.made_at, if(said.made_at and not is_rejected and system = 'stripe', order_key, null)),
            'arrives_at ' || arg_max_null(broken.arrives_at, if(said.arrives_at and not is_rejected and system = 'stripe', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select payout_number, origin_system from settled where has_broken_fields) using (payout_number)
    group by payout_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as payout_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'status', ledger_id, null)) as status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'currency', ledger_id, null)) as currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'amount', ledger_id, null)) as amount_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_automatic', ledger_id, null)) as is_automatic_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'made_at', ledger_id, null)) as made_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'arrives_at', ledger_id, null)) as arrives_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_payouts") }}
        where kind in ('decided', 'revoked') and key in (select payout_number from {{ ref("touched_payouts") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.payout_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.status_told, settled.status) as varchar) as status,
    cast(coalesce(upper(decisions.currency_told), settled.currency) as varchar) as currency,
    cast(coalesce(as_decimal(decisions.amount_told), settled.amount) as decimal(38, 10)) as amount,
    cast(coalesce(as_boolean(decisions.is_automatic_told), settled.is_automatic) as boolean) as is_automatic,
    cast(coalesce(as_instant(decisions.made_at_told, 'UTC'), settled.made_at) as timestamptz) as made_at,
    cast(coalesce(as_instant(decisions.arrives_at_told, 'UTC'), settled.arrives_at) as timestamptz) as arrives_at,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (payout_number)
left join decisions using (payout_number)

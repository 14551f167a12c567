-- generated from pipelines/map by `concord write`; do not edit
-- One row per payment of a customer, from its authorisation to the last cent that was given back. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_payments"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_payments"), ref("links_payments"), ref("touched_payments"), key="payment_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        payment_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by payment_number
),

settled as (
    select
        payment_number, origin_system, origin_remote_id,
        {{ latest("order_number", owner="system = 'stripe'") }} as order_number,
        {{ furthest("status", owner="system = 'stripe'", ladder="['pending', 'failed', 'authorised', 'voided', 'captured', 'refunded']") }} as status,
        {{ latest("currency", owner="system = 'stripe'") }} as currency,
        {{ latest("amount", owner="system = 'stripe'") }} as amount,
        {{ latest("captured", owner="system = 'stripe'") }} as captured,
        {{ latest("refunded", owner="system = 'stripe'") }} as refunded,
        {{ latest("dispute", owner="system = 'stripe'") }} as dispute,
        {{ latest("happened_at", owner="system = 'stripe'") }} as happened_at,
        {{ latest("method", owner="system = 'stripe'") }} as method,
        {{ latest("brand", owner="system = 'stripe'") }} as brand,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'stripe'), order_key, null)) as deleted_at,
        list_distinct([
            {{ winner_of("order_number", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("status", owner="system = 'stripe'", by="(list_position(['pending', 'failed', 'authorised', 'voided', 'captured', 'refunded'], status), order_key)") }},
            {{ winner_of("currency", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("amount", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("captured", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("refunded", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("dispute", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("happened_at", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("method", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("brand", owner="system = 'stripe'", by="order_key") }},
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
    join origins using (payment_number)
    group by payment_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        payment_number,
        list_filter([
            'order_number ' || arg_max_null(broken.order_number, if(said.order_number and not is_rejected and system = 'stripe', order_key, null)),
            'status ' || arg_max_null(broken.status, if(said.status and not is_rejected and system = 'stripe', order_key, null)),
            'currency ' || arg_max_null(broken.currency, if(said.currency and not is_rejected and system = 'stripe', order_key, null)),
            'amount ' || arg_max_null(broken.amount, if(said.amount and not is_rejected and system = 'stripe', order_key, null)),
            'captured ' || arg_max_null(broken.captured, if(said.captured and not is_rejected and system = 'stripe', order_key, null)),
            'refunded ' || arg_max_null(broken.refunded, if(said.refunded and not is_rejected and system = 'stripe', order_key, null)),
            'dispute ' || arg_max_null(broken.dispute, if(said.dispute and not is_rejected and system = 'stripe', order_key, null)),
            'happened_at ' || arg_max_null(broken.happened_at, if(said.happened_at and not is_rejected and system = 'stripe', order_key, null)),
            'method ' || arg_max_null(broken.method, if(said.method and not is_rejected and system = 'stripe', order_key, null)),
            'brand ' || arg_max_null(broken.brand, if(said.brand and not is_rejected and system = 'stripe', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select payment_number, origin_system from settled where has_broken_fields) using (payment_number)
    group by payment_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as payment_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'order_number', ledger_id, null)) as order_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'status', ledger_id, null)) as status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'currency', ledger_id, null)) as currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'amount', ledger_id, null)) as amount_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'captured', ledger_id, null)) as captured_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'refunded', ledger_id, null)) as refunded_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'dispute', ledger_id, null)) as dispute_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'happened_at', ledger_id, null)) as happened_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'method', ledger_id, null)) as method_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'brand', ledger_id, null)) as brand_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_payments") }}
        where kind in ('decided', 'revoked') and key in (select payment_number from {{ ref("touched_payments") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.payment_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.order_number_told, settled.order_number) as varchar) as order_number,
    cast(coalesce(decisions.status_told, settled.status) as varchar) as status,
    cast(coalesce(upper(decisions.currency_told), settled.currency) as varchar) as currency,
    cast(coalesce(as_decimal(decisions.amount_told), settled.amount) as decimal(38, 10)) as amount,
    cast(coalesce(as_decimal(decisions.captured_told), settled.captured) as decimal(38, 10)) as captured,
    cast(coalesce(as_decimal(decisions.refunded_told), settled.refunded) as decimal(38, 10)) as refunded,
    cast(coalesce(decisions.dispute_told, settled.dispute) as varchar) as dispute,
    cast(coalesce(as_instant(decisions.happened_at_told, 'UTC'), settled.happened_at) as timestamptz) as happened_at,
    cast(coalesce(decisions.method_told, settled.method) as varchar) as method,
    cast(coalesce(decisions.brand_told, settled.brand) as varchar) as brand,
    coalesce(order_number in (select order_number from {{ ref("orders") }}), false) as is_order_number_known,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (payment_number)
left join decisions using (payment_number)

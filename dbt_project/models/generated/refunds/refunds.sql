-- generated from pipelines/map by `concord write`; do not edit
-- One row per refund, made in a shop or at the payment service. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_refunds"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_refunds"), ref("links_refunds"), ref("touched_refunds"), key="refund_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        refund_number,
        arg_min(system, order_key) as origin_system,
        arg_min(system, if(system in ('stripe'), order_key, null)) as origin_among_payments,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by refund_number
),

settled as (
    select
        refund_number, origin_system, origin_among_payments, origin_remote_id,
        coalesce({{ latest("order_number", owner="system = 'shopify'") }}, {{ latest("order_number", owner="system = 'stripe'") }}) as order_number,
        coalesce({{ latest("payment_number", owner="system = 'shopify'") }}, {{ latest("payment_number", owner="system = 'stripe'") }}) as payment_number,
        {{ furthest("status", owner="((system = 'shopify') or (system = 'stripe'))", ladder="['owed', 'pending', 'paid', 'released', 'failed']") }} as status,
        coalesce({{ latest("currency", owner="system = 'shopify'") }}, {{ latest("currency", owner="system = 'stripe'") }}) as currency,
        coalesce({{ latest("amount", owner="system = 'shopify'") }}, {{ latest("amount", owner="system = 'stripe'") }}) as amount,
        coalesce({{ latest("reason", owner="system = 'shopify'") }}, {{ latest("reason", owner="system = 'stripe'") }}) as reason,
        {{ latest("return_number", owner="system = 'shopify'") }} as return_number,
        {{ latest("is_exchange", owner="system = 'shopify'") }} as is_exchange,
        {{ latest("is_cancellation", owner="system = 'shopify'") }} as is_cancellation,
        coalesce({{ latest("refunded_at", owner="system = 'shopify'") }}, {{ latest("refunded_at", owner="system = 'stripe'") }}) as refunded_at,
        {{ latest("recorded_at", owner="system = 'shopify'") }} as recorded_at,
        {{ latest("credit_number", owner="system = 'tryton'") }} as credit_number,
        {{ latest("credited", owner="system = 'tryton'") }} as credited,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'shopify' or system = 'stripe'), order_key, null)) as deleted_at,
        arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)) as lines_inbox_id,
        list_distinct([
            coalesce({{ winner_of("order_number", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("order_number", owner="system = 'stripe'", by="order_key") }}),
            coalesce({{ winner_of("payment_number", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("payment_number", owner="system = 'stripe'", by="order_key") }}),
            coalesce({{ winner_of("status", owner="system = 'shopify'", by="(list_position(['owed', 'pending', 'paid', 'released', 'failed'], status), order_key)") }}, {{ winner_of("status", owner="system = 'stripe'", by="(list_position(['owed', 'pending', 'paid', 'released', 'failed'], status), order_key)") }}),
            coalesce({{ winner_of("currency", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("currency", owner="system = 'stripe'", by="order_key") }}),
            coalesce({{ winner_of("amount", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("amount", owner="system = 'stripe'", by="order_key") }}),
            coalesce({{ winner_of("reason", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("reason", owner="system = 'stripe'", by="order_key") }}),
            {{ winner_of("return_number", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("is_exchange", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("is_cancellation", owner="system = 'shopify'", by="order_key") }},
            coalesce({{ winner_of("refunded_at", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("refunded_at", owner="system = 'stripe'", by="order_key") }}),
            {{ winner_of("recorded_at", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("credit_number", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("credited", owner="system = 'tryton'", by="order_key") }},
            arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)),
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'shopify' or system = 'stripe'), order_key, null))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(if(is_rejected and system = origin_system, order_key, null))
                > max(if(not is_rejected and system = origin_system, order_key, null)), false
        ) then arg_max(reasons[1], if(is_rejected and system = origin_system, order_key, null)) end as rejected_since,
        bool_or(len(reasons) + len(warnings) > 0 and not is_rejected) as has_broken_fields,
        min(if(is_rejected, null, inbox_id)) as first_inbox_id,
        max(if(not is_rejected and system = origin_system, occurred_at, null)) as changed_at,
        max(if(is_rejected, null, inbox_id)) as last_inbox_id,
        max(if(is_rejected, null, received_at)) as last_received_at
    from messages
    join origins using (refund_number)
    group by refund_number, origin_system, origin_among_payments, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        refund_number,
        list_filter([
            'order_number ' || arg_max_null(broken.order_number, if(said.order_number and not is_rejected and ((system = 'shopify') or (system = 'stripe')), order_key, null)),
            'payment_number ' || arg_max_null(broken.payment_number, if(said.payment_number and not is_rejected and ((system = 'shopify') or (system = 'stripe')), order_key, null)),
            'status ' || arg_max_null(broken.status, if(said.status and not is_rejected and ((system = 'shopify') or (system = 'stripe')), order_key, null)),
            'currency ' || arg_max_null(broken.currency, if(said.currency and not is_rejected and ((system = 'shopify') or (system = 'stripe')), order_key, null)),
            'amount ' || arg_max_null(broken.amount, if(said.amount and not is_rejected and ((system = 'shopify') or (system = 'stripe')), order_key, null)),
            'reason ' || arg_max_null(broken.reason, if(said.reason and not is_rejected and ((system = 'shopify') or (system = 'stripe')), order_key, null)),
            'return_number ' || arg_max_null(broken.return_number, if(said.return_number and not is_rejected and system = 'shopify', order_key, null)),
            'is_exchange ' || arg_max_null(broken.is_exchange, if(said.is_exchange and not is_rejected and system = 'shopify', order_key, null)),
            'is_cancellation ' || arg_max_null(broken.is_cancellation, if(said.is_cancellation and not is_rejected and system = 'shopify', order_key, null)),
            'refunded_at ' || arg_max_null(broken.refunded_at, if(said.refunded_at and not is_rejected and ((system = 'shopify') or (system = 'stripe')), order_key, null)),
            'recorded_at ' || arg_max_null(broken.recorded_at, if(said.recorded_at and not is_rejected and system = 'shopify', order_key, null)),
            'credit_number ' || arg_max_null(broken.credit_number, if(said.credit_number and not is_rejected and system = 'tryton', order_key, null)),
            'credited ' || arg_max_null(broken.credited, if(said.credited and not is_rejected and system = 'tryton', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select refund_number, origin_among_payments, origin_system from settled where has_broken_fields) using (refund_number)
    group by refund_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as refund_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'order_number', ledger_id, null)) as order_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'payment_number', ledger_id, null)) as payment_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'status', ledger_id, null)) as status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'currency', ledger_id, null)) as currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'amount', ledger_id, null)) as amount_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'reason', ledger_id, null)) as reason_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'return_number', ledger_id, null)) as return_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_exchange', ledger_id, null)) as is_exchange_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_cancellation', ledger_id, null)) as is_cancellation_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'refunded_at', ledger_id, null)) as refunded_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'recorded_at', ledger_id, null)) as recorded_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'credit_number', ledger_id, null)) as credit_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'credited', ledger_id, null)) as credited_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_refunds") }}
        where kind in ('decided', 'revoked') and key in (select refund_number from {{ ref("touched_refunds") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)
,

records as (

select
    settled.refund_number,
    origin_system, origin_among_payments, origin_remote_id,
    cast(coalesce(decisions.order_number_told, settled.order_number) as varchar) as order_number,
    cast(coalesce(decisions.payment_number_told, settled.payment_number) as varchar) as payment_number,
    cast(coalesce(decisions.status_told, settled.status) as varchar) as status,
    cast(coalesce(upper(decisions.currency_told), settled.currency) as varchar) as currency,
    cast(coalesce(as_decimal(decisions.amount_told), settled.amount) as decimal(38, 10)) as amount,
    cast(coalesce(decisions.reason_told, settled.reason) as varchar) as reason,
    cast(coalesce(decisions.return_number_told, settled.return_number) as varchar) as return_number,
    cast(coalesce(as_boolean(decisions.is_exchange_told), settled.is_exchange) as boolean) as is_exchange,
    cast(coalesce(as_boolean(decisions.is_cancellation_told), settled.is_cancellation) as boolean) as is_cancellation,
    cast(coalesce(as_instant(decisions.refunded_at_told, 'UTC'), settled.refunded_at) as timestamptz) as refunded_at,
    cast(coalesce(as_instant(decisions.recorded_at_told, 'UTC'), settled.recorded_at) as timestamptz) as recorded_at,
    cast(coalesce(decisions.credit_number_told, settled.credit_number) as varchar) as credit_number,
    cast(coalesce(as_decimal(decisions.credited_told), settled.credited) as decimal(38, 10)) as credited,
    coalesce(order_number in (select order_number from {{ ref("orders") }}), false) as is_order_number_known,
    lines_inbox_id,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, first_inbox_id, last_inbox_id, last_received_at
from settled
left join flags using (refund_number)
left join decisions using (refund_number)
),

-- Held against the records of others, as these stand now.
held_against_others as (
    select
        records.*,
        list_filter([
            if(not coalesce(amount <= orders.total or currency <> orders.currency, true), 'not_above_the_order breaks the rule amount <= orders.total or currency <> orders.currency' || ' (' || concat_ws(', ', 'currency is ' || cast(currency as varchar), 'amount is ' || cast(amount as varchar), 'orders.currency is ' || cast(orders.currency as varchar), 'orders.total is ' || cast(orders.total as varchar)) || ')', null)
        ], lambda broken: broken is not null) as rules_broken
    from records
    left join (
        select order_number as key_of_orders, struct_pack(currency := currency, total := total) as orders
        from {{ ref("orders") }}
    ) as of_orders on key_of_orders = records.order_number
)

select
    * replace (
        flags || list_filter(rules_broken, lambda broken: split_part(broken, ' ', 1) in ('not_above_the_order')) as flags,
        warnings || list_filter(rules_broken, lambda broken: split_part(broken, ' ', 1) not in ('not_above_the_order')) as warnings
    )
from held_against_others

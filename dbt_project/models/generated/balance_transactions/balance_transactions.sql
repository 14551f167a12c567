-- generated from pipelines/map by `concord write`; do not edit
-- One row per movement of the balance at the payment service, a payment, a refund or a fee, with what it cost. For each field its owner's word wins, whatever order the messages came in.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "transaction_number", "touched": "touched_balance_transactions", "at_once": {"touched_balance_transactions": 30000}},
    tags=["sync_balance_transactions"],
) }}
-- depends_on: {{ ref("touched_balance_transactions") }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_balance_transactions"), ref("links_balance_transactions"), key="transaction_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        transaction_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by transaction_number
),

settled as (
    select
        transaction_number, origin_system, origin_remote_id,
        {{ latest("kind", owner="system = 'stripe'") }} as kind,
        {{ latest("payment_number", owner="system = 'stripe'") }} as payment_number,
        {{ latest("payout_number", owner="system = 'stripe'") }} as payout_number,
        {{ latest("currency", owner="system = 'stripe'") }} as currency,
        {{ latest("amount", owner="system = 'stripe'") }} as amount,
        {{ latest("fee", owner="system = 'stripe'") }} as fee,
        {{ latest("net", owner="system = 'stripe'") }} as net,
        {{ latest("moved_at", owner="system = 'stripe'") }} as moved_at,
        {{ latest("available_at", owner="system = 'stripe'") }} as available_at,
        arg_max_null(if(is_deletion, occurred_at, null), order_key) filter (where not is_rejected and (system = 'stripe')) as deleted_at,
        list_distinct([
            {{ winner_of("kind", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("payment_number", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("payout_number", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("currency", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("amount", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("fee", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("net", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("moved_at", owner="system = 'stripe'", by="order_key") }},
            {{ winner_of("available_at", owner="system = 'stripe'", by="order_key") }},
            arg_max(inbox_id, order_key) filter (where is_deletion and not is_rejected and (system = 'stripe'))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(order_key) filter (where is_rejected and system = origin_system)
                > max(order_key) filter (where not is_rejected and system = origin_system), false
        ) then arg_max(reasons[1], order_key) filter (where is_rejected and system = origin_system) end as rejected_since,
        bool_or(len(reasons) + len(warnings) > 0 and not is_rejected) as has_broken_fields,
        max(occurred_at) filter (where not is_rejected and system = origin_system) as changed_at,
        max(inbox_id) filter (where not is_rejected) as last_inbox_id,
        max(received_at) filter (where not is_rejected) as last_received_at
    from messages
    join origins using (transaction_number)
    group by transaction_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        transaction_number,
        list_filter([
            'kind ' || arg_max_null(broken.kind, order_key) filter (where said.kind and not is_rejected and system = 'stripe'),
            'payment_number ' || arg_max_null(broken.payment_number, order_key) filter (where said.payment_number and not is_rejected and system = 'stripe'),
            'payout_number ' || arg_max_null(broken.payout_number, order_key) filter (where said.payout_number and not is_rejected and system = 'stripe'),
            'currency ' || arg_max_null(broken.currency, order_key) filter (where said.currency and not is_rejected and system = 'stripe'),
            'amount ' || arg_max_null(broken.amount, order_key) filter (where said.amount and not is_rejected and system = 'stripe'),
            'fee ' || arg_max_null(broken.fee, order_key) filter (where said.fee and not is_rejected and system = 'stripe'),
            'net ' || arg_max_null(broken.net, order_key) filter (where said.net and not is_rejected and system = 'stripe'),
            'moved_at ' || arg_max_null(broken.moved_at, order_key) filter (where said.moved_at and not is_rejected and system = 'stripe'),
            'available_at ' || arg_max_null(broken.available_at, order_key) filter (where said.available_at and not is_rejected and system = 'stripe')
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, order_key) filter (where not is_rejected and not is_deletion and system = origin_system) as warnings
    from messages
    join (select transaction_number, origin_system from settled where has_broken_fields) using (transaction_number)
    group by transaction_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as transaction_number,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'kind') as kind_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'payment_number') as payment_number_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'payout_number') as payout_number_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'currency') as currency_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'amount') as amount_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'fee') as fee_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'net') as net_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'moved_at') as moved_at_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'available_at') as available_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_balance_transactions") }}
        where kind in ('decided', 'revoked') and key in (select transaction_number from temp.keys_in_turn)
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.transaction_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.kind_told, settled.kind) as varchar) as kind,
    cast(coalesce(decisions.payment_number_told, settled.payment_number) as varchar) as payment_number,
    cast(coalesce(decisions.payout_number_told, settled.payout_number) as varchar) as payout_number,
    cast(coalesce(upper(decisions.currency_told), settled.currency) as varchar) as currency,
    cast(coalesce(as_decimal(decisions.amount_told), settled.amount) as decimal(38, 10)) as amount,
    cast(coalesce(as_decimal(decisions.fee_told), settled.fee) as decimal(38, 10)) as fee,
    cast(coalesce(as_decimal(decisions.net_told), settled.net) as decimal(38, 10)) as net,
    cast(coalesce(as_instant(decisions.moved_at_told, 'UTC'), settled.moved_at) as timestamptz) as moved_at,
    cast(coalesce(as_instant(decisions.available_at_told, 'UTC'), settled.available_at) as timestamptz) as available_at,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (transaction_number)
left join decisions using (transaction_number)

-- generated from pipelines/map by `concord write`; do not edit
-- One row per movement of the balance at the payment service, a payment, a refund or a fee, with what it cost. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_balance_transactions"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_balance_transactions"), ref("links_balance_transactions"), ref("touched_balance_transactions"), key="transaction_number") }}
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
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'stripe'), order_key, null)) as deleted_at,
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
    join origins using (transaction_number)
    group by transaction_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        transaction_number,
        list_filter([
            'kind ' || arg_max_null(broken.kind, if(said.kind and not is_rejected and system = 'stripe', order_key, null)),
            'payment_number ' || arg_max_null(broken.payment_number, if(said.payment_number and not is_rejected and system = 'stripe', order_key, null)),
            'payout_number ' || arg_max_null(broken.payout_number, if(said.payout_number and not is_rejected and system = 'stripe', order_key, null)),
            'currency ' || arg_max_null(broken.currency, if(said.currency and not is_rejected and system = 'stripe', order_key, null)),
            'amount ' || arg_max_null(broken.amount, if(said.amount and not is_rejected and system = 'stripe', order_key, null)),
            'fee ' || arg_max_null(broken.fee, if(said.fee and not is_rejected and system = 'stripe', order_key, null)),
            'net ' || arg_max_null(broken.net, if(said.net and not is_rejected and system = 'stripe', order_key, null)),
            'moved_at ' || arg_max_null(broken.moved_at, if(said.moved_at and not is_rejected and system = 'stripe', order_key, null)),
            'available_at ' || arg_max_null(broken.available_at, if(said.available_at and not is_rejected and system = 'stripe', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select transaction_number, origin_system from settled where has_broken_fields) using (transaction_number)
    group by transaction_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as transaction_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'kind', ledger_id, null)) as kind_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'payment_number', ledger_id, null)) as payment_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'payout_number', ledger_id, null)) as payout_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'currency', ledger_id, null)) as currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'amount', ledger_id, null)) as amount_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'fee', ledger_id, null)) as fee_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'net', ledger_id, null)) as net_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'moved_at', ledger_id, null)) as moved_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'available_at', ledger_id, null)) as available_at_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_balance_transactions") }}
        where kind in ('decided', 'revoked') and key in (select transaction_number from {{ ref("touched_balance_transactions") }})
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

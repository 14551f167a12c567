-- generated from pipelines/map by `concord write`; do not edit
-- One row per agreed price of a SKU in a price list, from a quantity on, for a time. For each field its owner's word wins, whatever order the messages came in.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "price_number", "touched": "touched_prices", "at_once": {"touched_prices": 30000}},
    tags=["sync_prices"],
) }}
-- depends_on: {{ ref("touched_prices") }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_prices"), ref("links_prices"), key="price_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        price_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by price_number
),

settled as (
    select
        price_number, origin_system, origin_remote_id,
        coalesce({{ latest("price_list", owner="system = 'tryton'") }}, {{ latest("price_list", owner="system = 'wholesale'") }}) as price_list,
        coalesce({{ latest("sku", owner="system = 'tryton'") }}, {{ latest("sku", owner="system = 'wholesale'") }}) as sku,
        coalesce({{ latest("from_quantity", owner="system = 'tryton'") }}, {{ latest("from_quantity", owner="system = 'wholesale'") }}) as from_quantity,
        coalesce({{ latest("amount", owner="system = 'tryton'") }}, {{ latest("amount", owner="system = 'wholesale'") }}) as amount,
        coalesce({{ latest("currency", owner="system = 'tryton'") }}, {{ latest("currency", owner="system = 'wholesale'") }}) as currency,
        coalesce({{ latest("includes_tax", owner="system = 'tryton'") }}, {{ latest("includes_tax", owner="system = 'wholesale'") }}) as includes_tax,
        {{ latest("account", owner="system = 'wholesale'") }} as account,
        coalesce({{ latest("valid_from", owner="system = 'tryton'") }}, {{ latest("valid_from", owner="system = 'wholesale'") }}) as valid_from,
        coalesce({{ latest("valid_to", owner="system = 'tryton'") }}, {{ latest("valid_to", owner="system = 'wholesale'") }}) as valid_to,
        arg_max_null(if(is_deletion, occurred_at, null), order_key) filter (where not is_rejected and (system = 'tryton' or system = 'wholesale')) as deleted_at,
        list_distinct([
            coalesce({{ winner_of("price_list", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("price_list", owner="system = 'wholesale'", by="order_key") }}),
            coalesce({{ winner_of("sku", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("sku", owner="system = 'wholesale'", by="order_key") }}),
            coalesce({{ winner_of("from_quantity", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("from_quantity", owner="system = 'wholesale'", by="order_key") }}),
            coalesce({{ winner_of("amount", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("amount", owner="system = 'wholesale'", by="order_key") }}),
            coalesce({{ winner_of("currency", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("currency", owner="system = 'wholesale'", by="order_key") }}),
            coalesce({{ winner_of("includes_tax", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("includes_tax", owner="system = 'wholesale'", by="order_key") }}),
            {{ winner_of("account", owner="system = 'wholesale'", by="order_key") }},
            coalesce({{ winner_of("valid_from", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("valid_from", owner="system = 'wholesale'", by="order_key") }}),
            coalesce({{ winner_of("valid_to", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("valid_to", owner="system = 'wholesale'", by="order_key") }}),
            arg_max(inbox_id, order_key) filter (where is_deletion and not is_rejected and (system = 'tryton' or system = 'wholesale'))
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
    join origins using (price_number)
    group by price_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        price_number,
        list_filter([
            'price_list ' || arg_max_null(broken.price_list, order_key) filter (where said.price_list and not is_rejected and ((system = 'tryton') or (system = 'wholesale'))),
            'sku ' || arg_max_null(broken.sku, order_key) filter (where said.sku and not is_rejected and ((system = 'tryton') or (system = 'wholesale'))),
            'from_quantity ' || arg_max_null(broken.from_quantity, order_key) filter (where said.from_quantity and not is_rejected and ((system = 'tryton') or (system = 'wholesale'))),
            'amount ' || arg_max_null(broken.amount, order_key) filter (where said.amount and not is_rejected and ((system = 'tryton') or (system = 'wholesale'))),
            'currency ' || arg_max_null(broken.currency, order_key) filter (where said.currency and not is_rejected and ((system = 'tryton') or (system = 'wholesale'))),
            'includes_tax ' || arg_max_null(broken.includes_tax, order_key) filter (where said.includes_tax and not is_rejected and ((system = 'tryton') or (system = 'wholesale'))),
            'account ' || arg_max_null(broken.account, order_key) filter (where said.account and not is_rejected and system = 'wholesale'),
            'valid_from ' || arg_max_null(broken.valid_from, order_key) filter (where said.valid_from and not is_rejected and ((system = 'tryton') or (system = 'wholesale'))),
            'valid_to ' || arg_max_null(broken.valid_to, order_key) filter (where said.valid_to and not is_rejected and ((system = 'tryton') or (system = 'wholesale')))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, order_key) filter (where not is_rejected and not is_deletion and system = origin_system) as warnings
    from messages
    join (select price_number, origin_system from settled where has_broken_fields) using (price_number)
    group by price_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as price_number,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'price_list') as price_list_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'sku') as sku_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'from_quantity') as from_quantity_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'amount') as amount_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'currency') as currency_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'includes_tax') as includes_tax_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'account') as account_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'valid_from') as valid_from_told
,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = 'valid_to') as valid_to_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_prices") }}
        where kind in ('decided', 'revoked') and key in (select price_number from temp.keys_in_turn)
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.price_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.price_list_told, settled.price_list) as varchar) as price_list,
    cast(coalesce(decisions.sku_told, settled.sku) as varchar) as sku,
    cast(coalesce(as_whole(decisions.from_quantity_told), settled.from_quantity) as bigint) as from_quantity,
    cast(coalesce(as_decimal(decisions.amount_told), settled.amount) as decimal(38, 10)) as amount,
    cast(coalesce(upper(decisions.currency_told), settled.currency) as varchar) as currency,
    cast(coalesce(as_boolean(decisions.includes_tax_told), settled.includes_tax) as boolean) as includes_tax,
    cast(coalesce(decisions.account_told, settled.account) as varchar) as account,
    cast(coalesce(as_instant(decisions.valid_from_told, 'UTC'), settled.valid_from) as timestamptz) as valid_from,
    cast(coalesce(as_instant(decisions.valid_to_told, 'UTC'), settled.valid_to) as timestamptz) as valid_to,
    coalesce(sku in (select sku from {{ ref("products") }}), false) as is_sku_known,
    coalesce(deleted_at, absences.absent_since) as deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (price_number)
left join decisions using (price_number)
left join {{ absences("prices", system="wholesale", stream="contract_prices", largest="20%", key="price_number") }} as absences using (price_number)

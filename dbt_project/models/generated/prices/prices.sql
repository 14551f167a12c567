-- generated from pipelines/map by `concord write`; do not edit
-- One row per agreed price of a SKU in a price list, from a quantity on, for a time. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_prices"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_prices"), ref("links_prices"), ref("touched_prices"), key="price_number") }}
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
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'tryton' or system = 'wholesale'), order_key, null)) as deleted_at,
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
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'tryton' or system = 'wholesale'), order_key, null))
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
    join origins using (price_number)
    group by price_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        price_number,
        list_filter([
            'price_list ' || arg_max_null(broken.price_list, if(said.price_list and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null)),
            'sku ' || arg_max_null(broken.sku, if(said.sku and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null)),
            'from_quantity ' || arg_max_null(broken.from_quantity, if(said.from_quantity and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null)),
            'amount ' || arg_max_null(broken.amount, if(said.amount and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null)),
            'currency ' || arg_max_null(broken.currency, if(said.currency and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null)),
            'includes_tax ' || arg_max_null(broken.includes_tax, if(said.includes_tax and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null)),
            'account ' || arg_max_null(broken.account, if(said.account and not is_rejected and system = 'wholesale', order_key, null)),
            'valid_from ' || arg_max_null(broken.valid_from, if(said.valid_from and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null)),
            'valid_to ' || arg_max_null(broken.valid_to, if(said.valid_to and not is_rejected and ((system = 'tryton') or (system = 'wholesale')), order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select price_number, origin_system from settled where has_broken_fields) using (price_number)
    group by price_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as price_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'price_list', ledger_id, null)) as price_list_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'sku', ledger_id, null)) as sku_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'from_quantity', ledger_id, null)) as from_quantity_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'amount', ledger_id, null)) as amount_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'currency', ledger_id, null)) as currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'includes_tax', ledger_id, null)) as includes_tax_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'account', ledger_id, null)) as account_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'valid_from', ledger_id, null)) as valid_from_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'valid_to', ledger_id, null)) as valid_to_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_prices") }}
        where kind in ('decided', 'revoked') and key in (select price_number from {{ ref("touched_prices") }})
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

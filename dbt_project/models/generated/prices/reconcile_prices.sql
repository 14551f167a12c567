-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about prices, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "price_number", "sampled": "stg_prices", "counted": "snapshots_prices", "at_once": 1000000},
    tags=["reconcile_prices"],
) }}

with held as (
    select stg.* exclude (price_number), coalesce(links.key, stg.price_number) as price_number
    from {{ ref("snapshots_prices") }} as snapshots
    join {{ ref("stg_prices") }} as stg using (inbox_id)
    left join {{ ref("links_prices") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.price_number))
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_prices") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_prices") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_prices") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

erp_and_us_us as (
    select price_number, cast(last_received_at as timestamptz) as told_at, 1 as copies,
        amount,
        currency,
    from {{ ref("prices") }}
    where in_turn(price_number) and deleted_at is null
),
erp_and_us_tryton as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.amount,
        stg.currency,
    from (
        select
            price_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('tryton') and price_number is not null
        group by price_number
    ) as newest
    join {{ ref("stg_prices") }} as stg using (inbox_id)
),

erp_and_us_looked as (
    select {{ moment() }} as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton')) as at_other
),

erp_and_us as (
    select
        'erp_and_us' as reconciliation, coalesce(one.price_number, other.price_number) as price_number,
        'us' as one_side, 'tryton' as other_side,
        unnest(case
            when other.price_number is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.price_number is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
                if(one.amount is distinct from other.amount and not coalesce(abs(one.amount - other.amount) <= 0.0, false),
                    struct_pack(kind := 'differs', field := 'amount', one_value := as_travelling(one.amount), other_value := as_travelling(other.amount)), null),
                if(one.currency is distinct from other.currency,
                    struct_pack(kind := 'differs', field := 'currency', one_value := one.currency, other_value := other.currency), null),
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at
    from erp_and_us_us as one
    full join erp_and_us_tryton as other using (price_number)
    join erp_and_us_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('tryton') group by key
    ) as delivered on delivered.key = coalesce(one.price_number, other.price_number)
    left join {{ ref("prices") }} as records on records.price_number = coalesce(one.price_number, other.price_number) and in_turn(records.price_number)
    where case when one.price_number is null then true else origin_system = 'tryton' end
)

select
    found.reconciliation, price_number, one_side, other_side,
    case
        when difference.kind <> 'duplicate' and since > looked_at - to_seconds(within) then 'late'
        when ignored_until > {{ moment() }} then 'ignored'
        else difference.kind
    end as kind,
    difference.kind as would_be,
    difference.field as field, difference.one_value as one_value, difference.other_value as other_value,
    since, looked_at, greatest(looked_at - since, interval 0 seconds) as age, steward, repair, ignored_until
from (
    select
        erp_and_us.*, 900 as within, 'team:finance' as steward,
        case difference.kind
            when 'missing there' then 'correct it by hand: no flow brings prices there'
            when 'missing here' then 'find out who made it in tryton; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || erp_and_us.price_number || '` names them'
            else 'correct it by hand: no flow brings amount or currency of prices there'
        end as repair
    from erp_and_us
    
) as found
left join ignored
    on ignored.key = found.price_number and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about selling_prices, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "place", "sampled": "stg_selling_prices", "counted": "snapshots_selling_prices", "at_once": 1000000},
    tags=["reconcile_selling_prices"],
) }}

with held as (
    select stg.* exclude (place), coalesce(links.key, stg.place) as place
    from {{ ref("snapshots_selling_prices") }} as snapshots
    join {{ ref("stg_selling_prices") }} as stg using (inbox_id)
    left join {{ ref("links_selling_prices") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.place))
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_selling_prices") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_selling_prices") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_selling_prices") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

holds as (
    select place, flow, max(held_because) as held_because
    from {{ ref("wanted_selling_prices") }}
    where held_because is not null and in_turn(place)
    group by place, flow
),

storefront_shows_what_is_valid_us as (
    select place, cast(last_received_at as timestamptz) as told_at, 1 as copies,
        amount,
        currency,
    from {{ ref("selling_prices") }}
    where in_turn(place) and deleted_at is null and not coalesce(not is_valid, false)
),
storefront_shows_what_is_valid_shopify as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.amount,
        stg.currency,
    from (
        select
            place, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('shopify') and place is not null and not coalesce(not is_valid, false)
        group by place
    ) as newest
    join {{ ref("stg_selling_prices") }} as stg using (inbox_id)
),

storefront_shows_what_is_valid_looked as (
    select {{ moment() }} as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('shopify')) as at_other
),

storefront_shows_what_is_valid as (
    select
        'storefront_shows_what_is_valid' as reconciliation, coalesce(one.place, other.place) as place,
        'us' as one_side, 'shopify' as other_side,
        unnest(case
            when other.place is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.place is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
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
        least(looked.at_one, looked.at_other) as looked_at,
        records.place is not null and (records.deleted_at is not null or coalesce(not records.is_valid, false)) as is_gone
    from storefront_shows_what_is_valid_us as one
    full join storefront_shows_what_is_valid_shopify as other using (place)
    join storefront_shows_what_is_valid_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('shopify') group by key
    ) as delivered on delivered.key = coalesce(one.place, other.place)
    left join {{ ref("selling_prices") }} as records on records.place = coalesce(one.place, other.place) and in_turn(records.place)
    where case when one.place is null then true else records.is_valid end
)

select
    found.reconciliation, place, one_side, other_side,
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
        storefront_shows_what_is_valid.*, 900 as within, 'team:ecommerce' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair prices_to_storefront ' || storefront_shows_what_is_valid.place)
            when 'missing here' then if(is_gone, coalesce('held: ' || holds.held_because, 'concord repair prices_to_storefront ' || storefront_shows_what_is_valid.place), 'find out who made it in shopify; link it with `concord link` or delete it there')
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || storefront_shows_what_is_valid.place || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair prices_to_storefront ' || storefront_shows_what_is_valid.place)
        end as repair
    from storefront_shows_what_is_valid
    left join holds on holds.place = storefront_shows_what_is_valid.place and holds.flow = 'prices_to_storefront'
    
) as found
left join ignored
    on ignored.key = found.place and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

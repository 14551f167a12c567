-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about sellable, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "sku", "sampled": "stg_sellable", "counted": "snapshots_sellable", "at_once": 1000000},
    tags=["reconcile_sellable"],
) }}

with held as (
    select stg.* exclude (sku), coalesce(links.key, stg.sku) as sku
    from {{ ref("snapshots_sellable") }} as snapshots
    join {{ ref("stg_sellable") }} as stg using (inbox_id)
    left join {{ ref("links_sellable") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.sku))
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_sellable") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_sellable") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_sellable") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

holds as (
    select sku, flow, max(held_because) as held_because
    from {{ ref("wanted_sellable") }}
    where held_because is not null and in_turn(sku)
    group by sku, flow
),

storefront_shows_what_we_know_us as (
    select sku, cast(last_received_at as timestamptz) as told_at, 1 as copies,
        greatest(sellable - 1, 0) as sellable,
    from {{ ref("sellable") }}
    where in_turn(sku) and deleted_at is null
),
storefront_shows_what_we_know_shopify as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.sellable,
    from (
        select
            sku, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('shopify') and sku is not null
        group by sku
    ) as newest
    join {{ ref("stg_sellable") }} as stg using (inbox_id)
),

storefront_shows_what_we_know_looked as (
    select {{ moment() }} as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('shopify')) as at_other
),

storefront_shows_what_we_know as (
    select
        'storefront_shows_what_we_know' as reconciliation, coalesce(one.sku, other.sku) as sku,
        'us' as one_side, 'shopify' as other_side,
        unnest(case
            when other.sku is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.sku is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
                if(one.sellable is distinct from other.sellable and not coalesce(abs(one.sellable - other.sellable) <= 0.0, false),
                    struct_pack(kind := 'differs', field := 'sellable', one_value := cast(one.sellable as varchar), other_value := cast(other.sellable as varchar)), null),
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at
    from storefront_shows_what_we_know_us as one
    full join storefront_shows_what_we_know_shopify as other using (sku)
    join storefront_shows_what_we_know_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('shopify') group by key
    ) as delivered on delivered.key = coalesce(one.sku, other.sku)
)

select
    found.reconciliation, sku, one_side, other_side,
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
        storefront_shows_what_we_know.*, 600 as within, 'team:ecommerce' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair sellable_to_storefront ' || storefront_shows_what_we_know.sku)
            when 'missing here' then 'find out who made it in shopify; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || storefront_shows_what_we_know.sku || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair sellable_to_storefront ' || storefront_shows_what_we_know.sku)
        end as repair
    from storefront_shows_what_we_know
    left join holds on holds.sku = storefront_shows_what_we_know.sku and holds.flow = 'sellable_to_storefront'
    
) as found
left join ignored
    on ignored.key = found.sku and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

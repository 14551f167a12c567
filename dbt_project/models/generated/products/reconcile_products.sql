-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about products, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "sku", "sampled": "stg_products", "counted": "snapshots_products", "at_once": 1000000},
    tags=["reconcile_products"],
) }}

with held as (
    select stg.* exclude (sku), coalesce(links.key, stg.sku) as sku
    from {{ ref("snapshots_products") }} as snapshots
    join {{ ref("stg_products") }} as stg using (inbox_id)
    left join {{ ref("links_products") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.sku))
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_products") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_products") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_products") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

erp_and_storefront_erp as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
    from (
        select
            sku, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('tryton') and sku is not null
        group by sku
    ) as newest
    join {{ ref("stg_products") }} as stg using (inbox_id)
),
erp_and_storefront_storefront as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
    from (
        select
            sku, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('shopify', 'wholesale') and sku is not null
        group by sku
    ) as newest
    join {{ ref("stg_products") }} as stg using (inbox_id)
),

erp_and_storefront_looked as (
    select (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton')) as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('shopify')) as at_other
),

erp_and_storefront as (
    select
        'erp_and_storefront' as reconciliation, coalesce(one.sku, other.sku) as sku,
        'erp' as one_side, 'storefront' as other_side,
        unnest(case
            when other.sku is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.sku is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at
    from erp_and_storefront_erp as one
    full join erp_and_storefront_storefront as other using (sku)
    join erp_and_storefront_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('tryton', 'shopify', 'wholesale') group by key
    ) as delivered on delivered.key = coalesce(one.sku, other.sku)
    left join {{ ref("products") }} as records on records.sku = coalesce(one.sku, other.sku) and in_turn(records.sku)
    where case when one.sku is null then true else not coalesce(records.is_service, false) end
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
        erp_and_storefront.*, 0 as within, 'team:ecommerce' as steward,
        case difference.kind
            when 'missing there' then 'correct it by hand: no flow brings products there'
            when 'missing here' then 'find out who made it in storefront; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || erp_and_storefront.sku || '` names them'
            else 'correct it by hand: no flow brings products there'
        end as repair
    from erp_and_storefront
    
) as found
left join ignored
    on ignored.key = found.sku and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about orders, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "order_number", "sampled": "stg_orders", "counted": "snapshots_orders", "at_once": 1000000},
    tags=["reconcile_orders"],
) }}

with held as (
    select stg.* exclude (order_number), coalesce(links.key, stg.order_number) as order_number
    from {{ ref("snapshots_orders") }} as snapshots
    join {{ ref("stg_orders") }} as stg using (inbox_id)
    left join {{ ref("links_orders") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.order_number))

    union all by name

    -- Who only ever sends cannot be looked at: what was told is what is held.
    select stg.* exclude (order_number), coalesce(links.key, stg.order_number) as order_number
    from {{ ref("stg_orders") }} as stg
    left join {{ ref("links_orders") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where stg.system in ('wholesale') and in_turn(coalesce(links.key, stg.order_number))
    qualify row_number() over (partition by stg.system, stg.remote_id order by stg.order_key desc) = 1 and not stg.is_deletion
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_orders") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_orders") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_orders") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

holds as (
    select order_number, flow, max(held_because) as held_because
    from {{ ref("wanted_orders") }}
    where held_because is not null and in_turn(order_number)
    group by order_number, flow
),

storefront_and_erp_storefront as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.total,
        stg.currency,
    from (
        select
            order_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('shopify', 'wholesale') and order_number is not null and not coalesce(status = 'cancelled', false)
        group by order_number
    ) as newest
    join {{ ref("stg_orders") }} as stg using (inbox_id)
),
storefront_and_erp_erp as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.total,
        stg.currency,
    from (
        select
            order_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('tryton') and order_number is not null and not coalesce(status = 'cancelled', false)
        group by order_number
    ) as newest
    join {{ ref("stg_orders") }} as stg using (inbox_id)
),

storefront_and_erp_looked as (
    select (select if(count(*) = 1, min(looked_at), null) from looks where system in ('shopify')) as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton')) as at_other
),

storefront_and_erp as (
    select
        'storefront_and_erp' as reconciliation, coalesce(one.order_number, other.order_number) as order_number,
        'storefront' as one_side, 'erp' as other_side,
        unnest(case
            when other.order_number is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.order_number is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
                if(one.total is distinct from other.total and not coalesce(abs(one.total - other.total) <= 0.01, false),
                    struct_pack(kind := 'differs', field := 'total', one_value := as_travelling(one.total), other_value := as_travelling(other.total)), null),
                if(one.currency is distinct from other.currency,
                    struct_pack(kind := 'differs', field := 'currency', one_value := one.currency, other_value := other.currency), null),
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at,
        records.order_number is not null and (records.deleted_at is not null or coalesce(records.status = 'cancelled', false)) as is_gone
    from storefront_and_erp_storefront as one
    full join storefront_and_erp_erp as other using (order_number)
    join storefront_and_erp_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('shopify', 'wholesale', 'tryton') group by key
    ) as delivered on delivered.key = coalesce(one.order_number, other.order_number)
    left join {{ ref("orders") }} as records on records.order_number = coalesce(one.order_number, other.order_number) and in_turn(records.order_number)
    where case when one.order_number is null then true else records.status in ('paid', 'refunded') end
)

select
    found.reconciliation, order_number, one_side, other_side,
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
        storefront_and_erp.*, 600 as within, 'team:finance' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair orders_to_erp ' || storefront_and_erp.order_number)
            when 'missing here' then if(is_gone, coalesce('held: ' || holds.held_because, 'concord repair orders_to_erp ' || storefront_and_erp.order_number), 'find out who made it in erp; link it with `concord link` or delete it there')
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || storefront_and_erp.order_number || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair orders_to_erp ' || storefront_and_erp.order_number)
        end as repair
    from storefront_and_erp
    left join holds on holds.order_number = storefront_and_erp.order_number and holds.flow = 'orders_to_erp'
    
) as found
left join ignored
    on ignored.key = found.order_number and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

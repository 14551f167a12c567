-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about customers, field by field, with who answers and what to do.
{{ config(
    materialized="renewed",
    meta={"renews": "anew", "key": "customer_number", "sampled": "stg_customers", "at_once": {"snapshots_customers": 1000000}},
    tags=["reconcile_customers"],
) }}

with held as (
    select stg.* exclude (customer_number), coalesce(links.key, stg.customer_number) as customer_number
    from {{ ref("snapshots_customers") }} as snapshots
    join {{ ref("stg_customers") }} as stg using (inbox_id)
    left join {{ ref("links_customers") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.customer_number))
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_customers") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_customers") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_customers") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

storefront_and_erp_us as (
    select customer_number, cast(last_received_at as timestamptz) as told_at, 1 as copies,
        email,
    from {{ ref("customers") }}
    where in_turn(customer_number) and deleted_at is null
),
storefront_and_erp_erp as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.email,
    from (
        select
            customer_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('tryton') and customer_number is not null
        group by customer_number
    ) as newest
    join {{ ref("stg_customers") }} as stg using (inbox_id)
),

storefront_and_erp_looked as (
    select now() as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton')) as at_other
),

storefront_and_erp as (
    select
        'storefront_and_erp' as reconciliation, coalesce(one.customer_number, other.customer_number) as customer_number,
        'us' as one_side, 'erp' as other_side,
        unnest(case
            when other.customer_number is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.customer_number is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
                if(one.email is distinct from other.email,
                    struct_pack(kind := 'differs', field := 'email', one_value := one.email, other_value := other.email), null),
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at
    from storefront_and_erp_us as one
    full join storefront_and_erp_erp as other using (customer_number)
    join storefront_and_erp_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('tryton') group by key
    ) as delivered on delivered.key = coalesce(one.customer_number, other.customer_number)
    left join {{ ref("customers") }} as records on records.customer_number = coalesce(one.customer_number, other.customer_number) and in_turn(records.customer_number)
    where case when one.customer_number is null then true else records.erp_number is not null end
)

select
    found.reconciliation, customer_number, one_side, other_side,
    case
        when difference.kind <> 'duplicate' and since > looked_at - to_seconds(within) then 'late'
        when ignored_until > now() then 'ignored'
        else difference.kind
    end as kind,
    difference.kind as would_be,
    difference.field as field, difference.one_value as one_value, difference.other_value as other_value,
    since, looked_at, greatest(looked_at - since, interval 0 seconds) as age, steward, repair, ignored_until
from (
    select
        storefront_and_erp.*, 0 as within, 'team:service' as steward,
        case difference.kind
            when 'missing there' then 'correct it by hand: no flow brings customers there'
            when 'missing here' then 'find out who made it in erp; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || storefront_and_erp.customer_number || '` names them'
            else 'correct it by hand: no flow brings customers there'
        end as repair
    from storefront_and_erp
    
) as found
left join ignored
    on ignored.key = found.customer_number and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about customers, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "customer_number", "sampled": "stg_customers", "counted": "snapshots_customers", "at_once": 1000000},
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

holds as (
    select customer_number, flow, max(held_because) as held_because
    from {{ ref("wanted_customers") }}
    where held_because is not null and in_turn(customer_number)
    group by customer_number, flow
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
    select {{ moment() }} as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton')) as at_other
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
),
owned_and_marketing_us as (
    select customer_number, cast(last_received_at as timestamptz) as told_at, 1 as copies,
        email,
    from {{ ref("customers") }}
    where in_turn(customer_number) and deleted_at is null
),
owned_and_marketing_crm as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.email,
    from (
        select
            customer_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('tryton_crm') and customer_number is not null
        group by customer_number
    ) as newest
    join {{ ref("stg_customers") }} as stg using (inbox_id)
),

owned_and_marketing_looked as (
    select {{ moment() }} as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton_crm')) as at_other
),

owned_and_marketing as (
    select
        'owned_and_marketing' as reconciliation, coalesce(one.customer_number, other.customer_number) as customer_number,
        'us' as one_side, 'crm' as other_side,
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
    from owned_and_marketing_us as one
    full join owned_and_marketing_crm as other using (customer_number)
    join owned_and_marketing_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('tryton_crm') group by key
    ) as delivered on delivered.key = coalesce(one.customer_number, other.customer_number)
    left join {{ ref("customers") }} as records on records.customer_number = coalesce(one.customer_number, other.customer_number) and in_turn(records.customer_number)
    where case when one.customer_number is null then true else records.email is not null or records.phone is not null end
),
addresses_in_the_erp_held as (
    -- What each system's newest message says of each.
    select
        held.customer_number, rows.kind, held.received_at as told_at,
        rows.street,
        rows.city,
        rows.postcode,
        rows.country,
    from held
    join {{ ref("stg_addresses") }} as rows using (inbox_id)
    where held.system in ('tryton') and held.customer_number is not null
    qualify row_number() over (partition by held.customer_number, rows.kind order by held.order_key desc) = 1
),

addresses_in_the_erp as (
    select
        'addresses_in_the_erp' as reconciliation, one.customer_number, 'us' as one_side, 'erp' as other_side,
        unnest(if(
            other.kind is null,
            [struct_pack(kind := 'missing there', field := one.kind, one_value := null, other_value := null)],
            list_filter([
                if(plainly(one.street) is distinct from plainly(other.street),
                    struct_pack(kind := 'differs', field := one.kind || ' street', one_value := one.street, other_value := other.street), null),
                if(plainly(one.city) is distinct from plainly(other.city),
                    struct_pack(kind := 'differs', field := one.kind || ' city', one_value := one.city, other_value := other.city), null),
                if(plainly(one.postcode) is distinct from plainly(other.postcode),
                    struct_pack(kind := 'differs', field := one.kind || ' postcode', one_value := one.postcode, other_value := other.postcode), null),
                if(plainly(one.country) is distinct from plainly(other.country),
                    struct_pack(kind := 'differs', field := one.kind || ' country', one_value := one.country, other_value := other.country), null),
            ], lambda difference: difference is not null)
        )) as difference,
        greatest(cast(records.last_received_at as timestamptz), other.told_at, delivered.at) as since,
        looked.looked_at
    from {{ ref("addresses") }} as one
    join {{ ref("customers") }} as records using (customer_number)
    left join addresses_in_the_erp_held as other on other.customer_number = one.customer_number and other.kind = one.kind
    join (select (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton')) as looked_at) as looked on looked.looked_at is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('tryton') group by key
    ) as delivered on delivered.key = one.customer_number
    where in_turn(one.customer_number) and one.removed_at is null and records.deleted_at is null and coalesce(records.erp_number is not null and records.shop_number is not null, false)
)
,
addresses_in_the_shop_held as (
    -- What each system's newest message says of each.
    select
        held.customer_number, rows.kind, held.received_at as told_at,
        rows.street,
        rows.city,
        rows.postcode,
        rows.country,
    from held
    join {{ ref("stg_addresses") }} as rows using (inbox_id)
    where held.system in ('shopify', 'wholesale') and held.customer_number is not null
    qualify row_number() over (partition by held.customer_number, rows.kind order by held.order_key desc) = 1
),

addresses_in_the_shop as (
    select
        'addresses_in_the_shop' as reconciliation, one.customer_number, 'us' as one_side, 'storefront' as other_side,
        unnest(if(
            other.kind is null,
            [struct_pack(kind := 'missing there', field := one.kind, one_value := null, other_value := null)],
            list_filter([
                if(plainly(one.street) is distinct from plainly(other.street),
                    struct_pack(kind := 'differs', field := one.kind || ' street', one_value := one.street, other_value := other.street), null),
                if(plainly(one.city) is distinct from plainly(other.city),
                    struct_pack(kind := 'differs', field := one.kind || ' city', one_value := one.city, other_value := other.city), null),
                if(plainly(one.postcode) is distinct from plainly(other.postcode),
                    struct_pack(kind := 'differs', field := one.kind || ' postcode', one_value := one.postcode, other_value := other.postcode), null),
                if(plainly(one.country) is distinct from plainly(other.country),
                    struct_pack(kind := 'differs', field := one.kind || ' country', one_value := one.country, other_value := other.country), null),
            ], lambda difference: difference is not null)
        )) as difference,
        greatest(cast(records.last_received_at as timestamptz), other.told_at, delivered.at) as since,
        looked.looked_at
    from {{ ref("addresses") }} as one
    join {{ ref("customers") }} as records using (customer_number)
    left join addresses_in_the_shop_held as other on other.customer_number = one.customer_number and other.kind = one.kind
    join (select (select if(count(*) = 1, min(looked_at), null) from looks where system in ('shopify')) as looked_at) as looked on looked.looked_at is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('shopify', 'wholesale') group by key
    ) as delivered on delivered.key = one.customer_number
    where in_turn(one.customer_number) and one.removed_at is null and records.deleted_at is null and coalesce(records.shop_number is not null and records.erp_number is not null, false)
)
,
addresses_in_the_crm_held as (
    -- What each system's newest message says of each.
    select
        held.customer_number, rows.kind, held.received_at as told_at,
        rows.street,
        rows.city,
        rows.postcode,
        rows.country,
    from held
    join {{ ref("stg_addresses") }} as rows using (inbox_id)
    where held.system in ('tryton_crm') and held.customer_number is not null
    qualify row_number() over (partition by held.customer_number, rows.kind order by held.order_key desc) = 1
),

addresses_in_the_crm as (
    select
        'addresses_in_the_crm' as reconciliation, one.customer_number, 'us' as one_side, 'crm' as other_side,
        unnest(if(
            other.kind is null,
            [struct_pack(kind := 'missing there', field := one.kind, one_value := null, other_value := null)],
            list_filter([
                if(plainly(one.street) is distinct from plainly(other.street),
                    struct_pack(kind := 'differs', field := one.kind || ' street', one_value := one.street, other_value := other.street), null),
                if(plainly(one.city) is distinct from plainly(other.city),
                    struct_pack(kind := 'differs', field := one.kind || ' city', one_value := one.city, other_value := other.city), null),
                if(plainly(one.postcode) is distinct from plainly(other.postcode),
                    struct_pack(kind := 'differs', field := one.kind || ' postcode', one_value := one.postcode, other_value := other.postcode), null),
                if(plainly(one.country) is distinct from plainly(other.country),
                    struct_pack(kind := 'differs', field := one.kind || ' country', one_value := one.country, other_value := other.country), null),
            ], lambda difference: difference is not null)
        )) as difference,
        greatest(cast(records.last_received_at as timestamptz), other.told_at, delivered.at) as since,
        looked.looked_at
    from {{ ref("addresses") }} as one
    join {{ ref("customers") }} as records using (customer_number)
    left join addresses_in_the_crm_held as other on other.customer_number = one.customer_number and other.kind = one.kind
    join (select (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton_crm')) as looked_at) as looked on looked.looked_at is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('tryton_crm') group by key
    ) as delivered on delivered.key = one.customer_number
    where in_turn(one.customer_number) and one.removed_at is null and records.deleted_at is null and coalesce(records.email is not null or records.phone is not null, false)
)

select
    found.reconciliation, customer_number, one_side, other_side,
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
        storefront_and_erp.*, 1200 as within, 'team:service' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair numbers_to_erp ' || storefront_and_erp.customer_number)
            when 'missing here' then 'find out who made it in erp; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || storefront_and_erp.customer_number || '` names them'
            else 'correct it by hand: no flow brings email of customers there'
        end as repair
    from storefront_and_erp
    left join holds on holds.customer_number = storefront_and_erp.customer_number and holds.flow = 'numbers_to_erp'
    union all
    select
        owned_and_marketing.*, 1200 as within, 'team:marketing' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair customers_to_crm ' || owned_and_marketing.customer_number)
            when 'missing here' then 'find out who made it in crm; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || owned_and_marketing.customer_number || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair customers_to_crm ' || owned_and_marketing.customer_number)
        end as repair
    from owned_and_marketing
    left join holds on holds.customer_number = owned_and_marketing.customer_number and holds.flow = 'customers_to_crm'
    union all
    select
        addresses_in_the_erp.*, 1200 as within, 'team:finance' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair numbers_to_erp ' || addresses_in_the_erp.customer_number)
            when 'missing here' then 'find out who made it in erp; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || addresses_in_the_erp.customer_number || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair numbers_to_erp ' || addresses_in_the_erp.customer_number)
        end as repair
    from addresses_in_the_erp
    left join holds on holds.customer_number = addresses_in_the_erp.customer_number and holds.flow = 'numbers_to_erp'
    union all
    select
        addresses_in_the_shop.*, 1200 as within, 'team:service' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair numbers_to_storefront ' || addresses_in_the_shop.customer_number)
            when 'missing here' then 'find out who made it in storefront; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || addresses_in_the_shop.customer_number || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair numbers_to_storefront ' || addresses_in_the_shop.customer_number)
        end as repair
    from addresses_in_the_shop
    left join holds on holds.customer_number = addresses_in_the_shop.customer_number and holds.flow = 'numbers_to_storefront'
    union all
    select
        addresses_in_the_crm.*, 1200 as within, 'team:marketing' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair customers_to_crm ' || addresses_in_the_crm.customer_number)
            when 'missing here' then 'find out who made it in crm; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || addresses_in_the_crm.customer_number || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair customers_to_crm ' || addresses_in_the_crm.customer_number)
        end as repair
    from addresses_in_the_crm
    left join holds on holds.customer_number = addresses_in_the_crm.customer_number and holds.flow = 'customers_to_crm'
    
) as found
left join ignored
    on ignored.key = found.customer_number and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

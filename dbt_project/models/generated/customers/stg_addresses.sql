-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of a message about addresses, in our words, cast and judged.
{{ config(tags=["sync_customers"]) }}

with
shopify_orders as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.customer.id', '$.updated_at']) as heard,
                as_list(addresses_of(payload -> '$.customer.default_address', payload -> '$.billing_address')) as items
            from {{ ref("landing_customers") }}
            where system = 'shopify' and stream = 'orders'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.kind', '$.name', '$.company', '$.address1', '$.address2', '$.city', '$.province', '$.province_code', '$.zip', '$.country_code', '$.phone']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        false as is_echo,
        told('SHOP-C' || ((heard[2] ->> '$'))) as customer_number,
        told((item_heard[1] ->> '$')) as kind,
        told((item_heard[2] ->> '$')) as name_told,
        told((item_heard[3] ->> '$')) as company_told,
        told(concat_ws(', ', (item_heard[4] ->> '$'), (item_heard[5] ->> '$'))) as street_told,
        told((item_heard[6] ->> '$')) as city_told,
        told(coalesce((item_heard[7] ->> '$'), (item_heard[8] ->> '$'))) as area_told,
        told((item_heard[9] ->> '$')) as postcode_told,
        told((item_heard[10] ->> '$')) as country_told,
        told((item_heard[11] ->> '$')) as phone_told,
        struct_pack(
            name := item_heard[2] is not null,
            company := item_heard[3] is not null,
            street := item_heard[4] is not null or item_heard[5] is not null,
            city := item_heard[6] is not null,
            area := item_heard[7] is not null or item_heard[8] is not null,
            postcode := item_heard[9] is not null,
            country := item_heard[10] is not null,
            phone := item_heard[11] is not null
        ) as said
    from lines
    where ((heard[2] ->> '$')) is not null
),
shopify_orders_read as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.customer.legacyResourceId', '$.updatedAt']) as heard,
                as_list(addresses_of(payload -> '$.customer.defaultAddress', payload -> '$.billingAddress')) as items
            from {{ ref("landing_customers") }}
            where system = 'shopify' and stream = 'orders_read'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.kind', '$.name', '$.company', '$.address1', '$.address2', '$.city', '$.province', '$.provinceCode', '$.zip', '$.countryCodeV2', '$.phone']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        false as is_echo,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((item_heard[1] ->> '$')) as kind,
        told((item_heard[2] ->> '$')) as name_told,
        told((item_heard[3] ->> '$')) as company_told,
        told(concat_ws(', ', (item_heard[4] ->> '$'), (item_heard[5] ->> '$'))) as street_told,
        told((item_heard[6] ->> '$')) as city_told,
        told(coalesce((item_heard[7] ->> '$'), (item_heard[8] ->> '$'))) as area_told,
        told((item_heard[9] ->> '$')) as postcode_told,
        told((item_heard[10] ->> '$')) as country_told,
        told((item_heard[11] ->> '$')) as phone_told,
        struct_pack(
            name := item_heard[2] is not null,
            company := item_heard[3] is not null,
            street := item_heard[4] is not null or item_heard[5] is not null,
            city := item_heard[6] is not null,
            area := item_heard[7] is not null or item_heard[8] is not null,
            postcode := item_heard[9] is not null,
            country := item_heard[10] is not null,
            phone := item_heard[11] is not null
        ) as said
    from lines
    where ((heard[1] ->> '$')) is not null
),
shopify_customers as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.default_address', '$.updated_at']) as heard,
                as_list(addresses_of(payload -> '$.default_address', null)) as items
            from {{ ref("landing_customers") }}
            where system = 'shopify' and stream = 'customers'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.kind', '$.name', '$.company', '$.address1', '$.address2', '$.city', '$.province', '$.province_code', '$.zip', '$.country_code', '$.phone']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        coalesce(((item_heard[1] ->> '$')) not in ('shipping'), false) as is_echo,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((item_heard[1] ->> '$')) as kind,
        told((item_heard[2] ->> '$')) as name_told,
        told((item_heard[3] ->> '$')) as company_told,
        told(concat_ws(', ', (item_heard[4] ->> '$'), (item_heard[5] ->> '$'))) as street_told,
        told((item_heard[6] ->> '$')) as city_told,
        told(coalesce((item_heard[7] ->> '$'), (item_heard[8] ->> '$'))) as area_told,
        told((item_heard[9] ->> '$')) as postcode_told,
        told((item_heard[10] ->> '$')) as country_told,
        told((item_heard[11] ->> '$')) as phone_told,
        struct_pack(
            name := item_heard[2] is not null,
            company := item_heard[3] is not null,
            street := item_heard[4] is not null or item_heard[5] is not null,
            city := item_heard[6] is not null,
            area := item_heard[7] is not null or item_heard[8] is not null,
            postcode := item_heard[9] is not null,
            country := item_heard[10] is not null,
            phone := item_heard[11] is not null
        ) as said
    from lines
    where (heard[2]) is not null
),
shopify_customers_read as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.legacyResourceId', '$.defaultAddress', '$.updatedAt']) as heard,
                as_list(addresses_of(payload -> '$.defaultAddress', payload -> '$.billingAddress')) as items
            from {{ ref("landing_customers") }}
            where system = 'shopify' and stream = 'customers_read'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.kind', '$.name', '$.company', '$.address1', '$.address2', '$.city', '$.province', '$.provinceCode', '$.zip', '$.countryCodeV2', '$.phone']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        coalesce(((item_heard[1] ->> '$')) not in ('shipping'), false) as is_echo,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((item_heard[1] ->> '$')) as kind,
        told((item_heard[2] ->> '$')) as name_told,
        told((item_heard[3] ->> '$')) as company_told,
        told(concat_ws(', ', (item_heard[4] ->> '$'), (item_heard[5] ->> '$'))) as street_told,
        told((item_heard[6] ->> '$')) as city_told,
        told(coalesce((item_heard[7] ->> '$'), (item_heard[8] ->> '$'))) as area_told,
        told((item_heard[9] ->> '$')) as postcode_told,
        told((item_heard[10] ->> '$')) as country_told,
        told((item_heard[11] ->> '$')) as phone_told,
        struct_pack(
            name := item_heard[2] is not null,
            company := item_heard[3] is not null,
            street := item_heard[4] is not null or item_heard[5] is not null,
            city := item_heard[6] is not null,
            area := item_heard[7] is not null or item_heard[8] is not null,
            postcode := item_heard[9] is not null,
            country := item_heard[10] is not null,
            phone := item_heard[11] is not null
        ) as said
    from lines
    where (heard[2]) is not null
),
tryton_parties as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.code', '$.write_date']) as heard,
                as_list(payload -> '$.addresses') as items
            from {{ ref("landing_customers") }}
            where system = 'tryton' and stream = 'parties'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.kind', '$.is_ours', '$.name', '$.street', '$.city', '$.area', '$.postcode', '$.country']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        coalesce(((item_heard[2] ->> '$') = 'true'), false) as is_echo,
        told('ERP-' || ((heard[2] ->> '$'))) as customer_number,
        told((item_heard[1] ->> '$')) as kind,
        told((item_heard[3] ->> '$')) as name_told,
        cast(null as varchar) as company_told,
        told((item_heard[4] ->> '$')) as street_told,
        told((item_heard[5] ->> '$')) as city_told,
        told((item_heard[6] ->> '$')) as area_told,
        told((item_heard[7] ->> '$')) as postcode_told,
        told((item_heard[8] ->> '$')) as country_told,
        cast(null as varchar) as phone_told,
        struct_pack(
            name := item_heard[3] is not null,
            company := false,
            street := item_heard[4] is not null,
            city := item_heard[5] is not null,
            area := item_heard[6] is not null,
            postcode := item_heard[7] is not null,
            country := item_heard[8] is not null,
            phone := false
        ) as said
    from lines
),
tryton_crm_contacts as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.write_date']) as heard,
                as_list(payload -> '$.addresses') as items
            from {{ ref("landing_customers") }}
            where system = 'tryton_crm' and stream = 'contacts'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.kind', '$.is_ours', '$.name', '$.street', '$.city', '$.area', '$.postcode', '$.country']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        coalesce(((item_heard[2] ->> '$') = 'true'), false) as is_echo,
        told('CRM-' || ((heard[1] ->> '$'))) as customer_number,
        told((item_heard[1] ->> '$')) as kind,
        told((item_heard[3] ->> '$')) as name_told,
        cast(null as varchar) as company_told,
        told((item_heard[4] ->> '$')) as street_told,
        told((item_heard[5] ->> '$')) as city_told,
        told((item_heard[6] ->> '$')) as area_told,
        told((item_heard[7] ->> '$')) as postcode_told,
        told((item_heard[8] ->> '$')) as country_told,
        cast(null as varchar) as phone_told,
        struct_pack(
            name := item_heard[3] is not null,
            company := false,
            street := item_heard[4] is not null,
            city := item_heard[5] is not null,
            area := item_heard[6] is not null,
            postcode := item_heard[7] is not null,
            country := item_heard[8] is not null,
            phone := false
        ) as said
    from lines
),

messages as (
    select * from shopify_orders union all by name
    select * from shopify_orders_read union all by name
    select * from shopify_customers union all by name
    select * from shopify_customers_read union all by name
    select * from tryton_parties union all by name
    select * from tryton_crm_contacts
),

cast_to_type as (
    select
        *,
        name_told as name,
        company_told as company,
        street_told as street,
        city_told as city,
        area_told as area,
        upper(postcode_told) as postcode,
        upper(country_told) as country,
        phone_told as phone
    from messages
),

judged as (
    select
        *,
        struct_pack(
            name := cast(null as varchar),
            company := cast(null as varchar),
            street := cast(null as varchar),
            city := cast(null as varchar),
            area := cast(null as varchar),
            postcode := cast(null as varchar),
            country := cast(null as varchar),
            phone := cast(null as varchar)
        ) as broken,
        list_filter([
            if(system in ('shopify', 'tryton') and said.postcode and postcode_told is not null and not coalesce(not (not fits_country(postcode, country)), true), 'postcode: «' || postcode_told || '» is no postcode of its country', null),
            if(system in ('shopify', 'tryton') and said.country and country_told is not null and not coalesce(not (not is_country(country)), true), 'country: «' || country_told || '» is no ISO 3166 country', null),
            if(system in ('shopify') and said.phone and phone_told is not null and not coalesce(not (not is_phone(phone, country)), true), 'phone: «' || phone_told || '» is no telephone number', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) || if(
            system in ('shopify', 'tryton') and said.country,
            list_filter(['address: lacks ' || nullif(concat_ws(' and ', if(street is null and asks_for(country, 'street'), 'street', null), if(city is null and asks_for(country, 'city'), 'city', null), if(area is null and asks_for(country, 'area'), 'area', null), if(postcode is null and asks_for(country, 'postcode'), 'postcode', null)), '') || ', which addresses in ' || country || ' have', if(is_area(area, country), null, 'address: «' || area || '» is no state or province of ' || country)], lambda reason: reason is not null), []
        ) as warnings
    from cast_to_type
)

select
    inbox_id, system, stream, received_at,
    position,
    is_echo,
    customer_number,
    kind,
    name,
    company,
    street,
    city,
    area,
    postcode,
    country,
    phone,
    said, broken, warnings,
    list_filter([
        if(kind is null, 'kind is missing', null),
        'name ' || broken.name,
        'company ' || broken.company,
        'street ' || broken.street,
        'city ' || broken.city,
        'area ' || broken.area,
        'postcode ' || broken.postcode,
        'country ' || broken.country,
        'phone ' || broken.phone
    ], lambda reason: reason is not null) as reasons
from judged

-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about customers, in our words, cast and judged.
{{ config(tags=["sync_customers"]) }}

with
shopify_orders as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told(nullif(trim(concat_ws(' ', (heard[3] ->> '$'), (heard[4] ->> '$'))), '')) as name_told,
        told((heard[6] ->> '$')) as email_told,
        told((heard[7] ->> '$')) as phone_told,
        told((heard[8] ->> '$')) as country_told,
        cast(null as varchar) as erp_number_told,
        cast(null as varchar) as tax_number_told,
        told((heard[1] ->> '$')) as shop_number_told,
        cast(null as varchar) as carried_number_told,
        cast(null as varchar) as price_group_told,
        cast(null as varchar) as shop_group_told,
        struct_pack(
            name := heard[3] is not null or heard[5] = 'null' or heard[4] is not null or heard[5] = 'null',
            email := heard[6] is not null or heard[5] = 'null',
            phone := heard[7] is not null or heard[5] = 'null',
            country := heard[8] is not null or heard[5] = 'null',
            erp_number := false,
            tax_number := false,
            shop_number := heard[1] is not null or heard[5] = 'null',
            carried_number := false,
            price_group := false,
            shop_group := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.id', '$.updated_at', '$.customer.first_name', '$.customer.last_name', '$.customer', '$.customer.email', '$.customer.phone', '$.customer.default_address.country_code']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'shopify' and stream = 'orders'
    )
    where ((heard[1] ->> '$')) is not null
),
shopify_orders_read as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told(nullif(trim(concat_ws(' ', (heard[3] ->> '$'), (heard[4] ->> '$'))), '')) as name_told,
        told((heard[6] ->> '$')) as email_told,
        told((heard[7] ->> '$')) as phone_told,
        told((heard[8] ->> '$')) as country_told,
        cast(null as varchar) as erp_number_told,
        cast(null as varchar) as tax_number_told,
        told((heard[1] ->> '$')) as shop_number_told,
        cast(null as varchar) as carried_number_told,
        cast(null as varchar) as price_group_told,
        cast(null as varchar) as shop_group_told,
        struct_pack(
            name := heard[3] is not null or heard[5] = 'null' or heard[4] is not null or heard[5] = 'null',
            email := heard[6] is not null or heard[5] = 'null',
            phone := heard[7] is not null or heard[5] = 'null',
            country := heard[8] is not null or heard[5] = 'null',
            erp_number := false,
            tax_number := false,
            shop_number := heard[1] is not null or heard[5] = 'null',
            carried_number := false,
            price_group := false,
            shop_group := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.legacyResourceId', '$.updatedAt', '$.customer.firstName', '$.customer.lastName', '$.customer', '$.customer.defaultEmailAddress.emailAddress', '$.customer.defaultPhoneNumber.phoneNumber', '$.customer.defaultAddress.countryCodeV2']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'shopify' and stream = 'orders_read'
    )
    where ((heard[1] ->> '$')) is not null
),
shopify_customers as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        coalesce(((heard[8]) is not null), false) as tells_lines,
        told(nullif(trim(concat_ws(' ', (heard[3] ->> '$'), (heard[4] ->> '$'))), '')) as name_told,
        told((heard[5] ->> '$')) as email_told,
        told((heard[6] ->> '$')) as phone_told,
        told((heard[7] ->> '$')) as country_told,
        cast(null as varchar) as erp_number_told,
        cast(null as varchar) as tax_number_told,
        told((heard[1] ->> '$')) as shop_number_told,
        cast(null as varchar) as carried_number_told,
        cast(null as varchar) as price_group_told,
        cast(null as varchar) as shop_group_told,
        struct_pack(
            name := heard[3] is not null or heard[4] is not null,
            email := heard[5] is not null,
            phone := heard[6] is not null,
            country := heard[7] is not null or heard[8] = 'null',
            erp_number := false,
            tax_number := false,
            shop_number := heard[1] is not null,
            carried_number := false,
            price_group := false,
            shop_group := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.updated_at', '$.first_name', '$.last_name', '$.email', '$.phone', '$.default_address.country_code', '$.default_address']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'shopify' and stream = 'customers'
    )
),
shopify_customers_read as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        coalesce(((heard[10]) is not null), false) as tells_lines,
        told(nullif(trim(concat_ws(' ', (heard[3] ->> '$'), (heard[4] ->> '$'))), '')) as name_told,
        told((heard[5] ->> '$')) as email_told,
        told((heard[7] ->> '$')) as phone_told,
        told((heard[9] ->> '$')) as country_told,
        cast(null as varchar) as erp_number_told,
        cast(null as varchar) as tax_number_told,
        told((heard[1] ->> '$')) as shop_number_told,
        cast(null as varchar) as carried_number_told,
        cast(null as varchar) as price_group_told,
        told(named_by(cast(heard[11] as varchar[]), 'list:')) as shop_group_told,
        struct_pack(
            name := heard[3] is not null or heard[4] is not null,
            email := heard[5] is not null or heard[6] = 'null',
            phone := heard[7] is not null or heard[8] = 'null',
            country := heard[9] is not null or heard[10] = 'null',
            erp_number := false,
            tax_number := false,
            shop_number := heard[1] is not null,
            carried_number := false,
            price_group := false,
            shop_group := heard[11] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.legacyResourceId', '$.updatedAt', '$.firstName', '$.lastName', '$.defaultEmailAddress.emailAddress', '$.defaultEmailAddress', '$.defaultPhoneNumber.phoneNumber', '$.defaultPhoneNumber', '$.defaultAddress.countryCodeV2', '$.defaultAddress', '$.tags']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'shopify' and stream = 'customers_read'
    )
),
tryton_parties as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('ERP-' || ((heard[2] ->> '$'))) as customer_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[4] ->> '$')) as name_told,
        told((heard[5] ->> '$')) as email_told,
        told((heard[6] ->> '$')) as phone_told,
        told((heard[7] ->> '$')) as country_told,
        told((heard[2] ->> '$')) as erp_number_told,
        told((heard[10] ->> '$')) as tax_number_told,
        cast(null as varchar) as shop_number_told,
        told((heard[8] ->> '$')) as carried_number_told,
        told((heard[9] ->> '$')) as price_group_told,
        cast(null as varchar) as shop_group_told,
        struct_pack(
            name := heard[4] is not null,
            email := heard[5] is not null,
            phone := heard[6] is not null,
            country := heard[7] is not null,
            erp_number := heard[2] is not null,
            tax_number := heard[10] is not null,
            shop_number := false,
            carried_number := heard[8] is not null,
            price_group := heard[9] is not null,
            shop_group := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.code', '$.write_date', '$.name', '$.email', '$.phone', '$.addresses[0].country', '$.shop_number', '$.price_list', '$.tax_number']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'tryton' and stream = 'parties'
    )
),
tryton_crm_contacts as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('CRM-' || ((heard[1] ->> '$'))) as customer_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[3] ->> '$')) as name_told,
        told((heard[4] ->> '$')) as email_told,
        told((heard[5] ->> '$')) as phone_told,
        cast(null as varchar) as country_told,
        cast(null as varchar) as erp_number_told,
        cast(null as varchar) as tax_number_told,
        cast(null as varchar) as shop_number_told,
        cast(null as varchar) as carried_number_told,
        cast(null as varchar) as price_group_told,
        cast(null as varchar) as shop_group_told,
        struct_pack(
            name := heard[3] is not null,
            email := heard[4] is not null,
            phone := heard[5] is not null,
            country := false,
            erp_number := false,
            tax_number := false,
            shop_number := false,
            carried_number := false,
            price_group := false,
            shop_group := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.write_date', '$.name', '$.email', '$.phone']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'tryton_crm' and stream = 'contacts'
    )
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
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        name_told as name,
        lower(email_told) as email,
        phone_told as phone,
        upper(country_told) as country,
        erp_number_told as erp_number,
        tax_number_told as tax_number,
        shop_number_told as shop_number,
        carried_number_told as carried_number,
        price_group_told as price_group,
        shop_group_told as shop_group
    from messages
),

judged as (
    select
        *,
        struct_pack(
            name := cast(null as varchar),
            email := case
                when system not in ('shopify', 'tryton', 'tryton_crm') or not said.email then null
                when email_told is not null and not is_email(email) then '«' || email_told || '» is no e-mail address'
            end,
            phone := cast(null as varchar),
            country := cast(null as varchar),
            erp_number := cast(null as varchar),
            tax_number := cast(null as varchar),
            shop_number := cast(null as varchar),
            carried_number := cast(null as varchar),
            price_group := cast(null as varchar),
            shop_group := cast(null as varchar)
        ) as broken,
        list_filter([
            if(system in ('shopify', 'tryton', 'tryton_crm') and said.phone and phone_told is not null and not coalesce(not (not is_phone(phone, country)), true), 'phone: «' || phone_told || '» is no telephone number', null),
            if(system in ('shopify', 'tryton') and said.country and country_told is not null and not coalesce(not (not is_country(country)), true), 'country: «' || country_told || '» is no ISO 3166 country', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
bad_addresses as (
    select
        inbox_id,
        list('line ' || position || coalesce(' (' || sku || ')', '') || ' ' || reason order by position, reason) as reasons
    from (
        select inbox_id, position, null as sku, unnest(reasons) as reason
        from {{ ref("stg_addresses") }}
        where len(reasons) > 0
        union all
        select inbox_id, max(position), null, 'has the id of another line: ' || kind
        from {{ ref("stg_addresses") }}
        where kind is not null
        group by inbox_id, kind
        having count(*) > 1
    )
    group by inbox_id
)
,
doubtful_addresses as (
    select inbox_id, list('addresses: ' || kind || ' ' || warning order by position, warning) as doubts
    from (
        select inbox_id, position, kind, unnest(warnings) as warning
        from {{ ref("stg_addresses") }}
        where len(warnings) > 0
    )
    group by inbox_id
)
,
rejections as (
    select
        judged.* replace (warnings || coalesce(doubtful_addresses.doubts, []) as warnings),
        list_filter([
            if(customer_number is null, 'customer_number is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            null
        ], lambda reason: reason is not null)
            || coalesce(bad_addresses.reasons, [])
            as rejections
    from judged
    left join bad_addresses using (inbox_id)
    left join doubtful_addresses using (inbox_id)
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    customer_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    name,
    email,
    phone,
    country,
    erp_number,
    tax_number,
    shop_number,
    carried_number,
    price_group,
    shop_group,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'name ' || broken.name,
        'email ' || broken.email,
        'phone ' || broken.phone,
        'country ' || broken.country,
        'erp_number ' || broken.erp_number,
        'tax_number ' || broken.tax_number,
        'shop_number ' || broken.shop_number,
        'carried_number ' || broken.carried_number,
        'price_group ' || broken.price_group,
        'shop_group ' || broken.shop_group
    ], lambda reason: reason is not null) as reasons
from rejections

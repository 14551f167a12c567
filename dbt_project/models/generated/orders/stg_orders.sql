-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about orders, in our words, cast and judged.
{{ config(materialized="renewed", meta={"renews": "batch", "column": "inbox_id"}, tags=["sync_orders"]) }}

with
shopify_orders as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-' || ((heard[1] ->> '$'))) as order_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[3] ->> '$')) as number_told,
        case told(coalesce(if((heard[4] ->> '$') is not null, 'voided', null), (heard[5] ->> '$'))) when 'pending' then 'placed' when 'authorized' then 'placed' when 'partially_paid' then 'placed' when 'paid' then 'paid' when 'partially_refunded' then 'paid' when 'refunded' then 'refunded' when 'voided' then 'cancelled' when 'expired' then 'cancelled' else told(coalesce(if((heard[4] ->> '$') is not null, 'voided', null), (heard[5] ->> '$'))) end as status_told,
        told((heard[6] ->> '$')) as currency_told,
        told((heard[7] ->> '$')) as placed_at_told,
        told((heard[4] ->> '$')) as cancelled_at_told,
        told(coalesce((heard[8] ->> '$'), (heard[9] ->> '$'))) as total_told,
        told(coalesce((heard[10] ->> '$'), (heard[11] ->> '$'))) as tax_total_told,
        told(coalesce((heard[12] ->> '$'), (heard[13] ->> '$'))) as discount_total_told,
        told((heard[14] ->> '$')) as shipping_total_told,
        told((heard[16] ->> '$')) as prices_include_tax_told,
        told(coalesce((heard[17] ->> '$'), (heard[18] ->> '$'))) as email_told,
        told((heard[19] ->> '$')) as phone_told,
        cast(null as varchar) as customer_told,
        told((heard[20] ->> '$')) as name_told,
        told(concat_ws(', ', (heard[22] ->> '$'), (heard[23] ->> '$'))) as street_told,
        told((heard[24] ->> '$')) as city_told,
        told((heard[25] ->> '$')) as postcode_told,
        told((heard[26] ->> '$')) as country_told,
        cast(null as varchar) as country_name_told,
        cast(null as varchar) as erp_number_told,
        struct_pack(
            number := heard[3] is not null,
            status := heard[4] is not null or heard[5] is not null,
            currency := heard[6] is not null,
            placed_at := heard[7] is not null,
            cancelled_at := heard[4] is not null,
            total := heard[8] is not null or heard[9] is not null,
            tax_total := heard[10] is not null or heard[11] is not null,
            discount_total := heard[12] is not null or heard[13] is not null,
            shipping_total := heard[14] is not null or heard[15] = 'null',
            prices_include_tax := heard[16] is not null,
            email := heard[17] is not null or heard[18] is not null,
            phone := heard[19] is not null,
            customer := false,
            name := heard[20] is not null or heard[21] = 'null',
            street := heard[22] is not null or heard[21] = 'null' or heard[23] is not null or heard[21] = 'null',
            city := heard[24] is not null or heard[21] = 'null',
            postcode := heard[25] is not null or heard[21] = 'null',
            country := heard[26] is not null or heard[21] = 'null',
            country_name := false,
            erp_number := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.updated_at', '$.name', '$.cancelled_at', '$.financial_status', '$.currency', '$.created_at', '$.current_total_price', '$.total_price', '$.current_total_tax', '$.total_tax', '$.current_total_discounts', '$.total_discounts', '$.total_shipping_price_set.shop_money.amount', '$.total_shipping_price_set', '$.taxes_included', '$.email', '$.contact_email', '$.phone', '$.shipping_address.name', '$.shipping_address', '$.shipping_address.address1', '$.shipping_address.address2', '$.shipping_address.city', '$.shipping_address.zip', '$.shipping_address.country_code']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'shopify' and stream = 'orders' and {{ in_batch("inbox_id") }}
    )
),
shopify_orders_deleted as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-' || ((heard[1] ->> '$'))) as order_number,
        cast(null as varchar) as occurred_at_told, false as has_clock,
        coalesce(false, false) as may_originate,
        true as is_deletion,
        false as tells_lines,
        cast(null as varchar) as number_told,
        cast(null as varchar) as status_told,
        cast(null as varchar) as currency_told,
        cast(null as varchar) as placed_at_told,
        cast(null as varchar) as cancelled_at_told,
        cast(null as varchar) as total_told,
        cast(null as varchar) as tax_total_told,
        cast(null as varchar) as discount_total_told,
        cast(null as varchar) as shipping_total_told,
        cast(null as varchar) as prices_include_tax_told,
        cast(null as varchar) as email_told,
        cast(null as varchar) as phone_told,
        cast(null as varchar) as customer_told,
        cast(null as varchar) as name_told,
        cast(null as varchar) as street_told,
        cast(null as varchar) as city_told,
        cast(null as varchar) as postcode_told,
        cast(null as varchar) as country_told,
        cast(null as varchar) as country_name_told,
        cast(null as varchar) as erp_number_told,
        struct_pack(
            number := false,
            status := false,
            currency := false,
            placed_at := false,
            cancelled_at := false,
            total := false,
            tax_total := false,
            discount_total := false,
            shipping_total := false,
            prices_include_tax := false,
            email := false,
            phone := false,
            customer := false,
            name := false,
            street := false,
            city := false,
            postcode := false,
            country := false,
            country_name := false,
            erp_number := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'shopify' and stream = 'orders_deleted' and {{ in_batch("inbox_id") }}
    )
),
shopify_orders_read as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(remote_id) as remote_id,
        told('SHOP-' || regexp_extract((heard[1] ->> '$'), '\d+$')) as order_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[3] ->> '$')) as number_told,
        case told(coalesce(if((heard[4] ->> '$') is not null, 'VOIDED', null), (heard[5] ->> '$'))) when 'PENDING' then 'placed' when 'AUTHORIZED' then 'placed' when 'PARTIALLY_PAID' then 'placed' when 'PAID' then 'paid' when 'PARTIALLY_REFUNDED' then 'paid' when 'REFUNDED' then 'refunded' when 'VOIDED' then 'cancelled' when 'EXPIRED' then 'cancelled' else told(coalesce(if((heard[4] ->> '$') is not null, 'VOIDED', null), (heard[5] ->> '$'))) end as status_told,
        told((heard[6] ->> '$')) as currency_told,
        told((heard[7] ->> '$')) as placed_at_told,
        told((heard[4] ->> '$')) as cancelled_at_told,
        told((heard[8] ->> '$')) as total_told,
        told((heard[10] ->> '$')) as tax_total_told,
        told((heard[12] ->> '$')) as discount_total_told,
        told((heard[14] ->> '$')) as shipping_total_told,
        told((heard[16] ->> '$')) as prices_include_tax_told,
        told((heard[17] ->> '$')) as email_told,
        told((heard[18] ->> '$')) as phone_told,
        cast(null as varchar) as customer_told,
        told((heard[19] ->> '$')) as name_told,
        told(concat_ws(', ', (heard[21] ->> '$'), (heard[22] ->> '$'))) as street_told,
        told((heard[23] ->> '$')) as city_told,
        told((heard[24] ->> '$')) as postcode_told,
        told((heard[25] ->> '$')) as country_told,
        cast(null as varchar) as country_name_told,
        cast(null as varchar) as erp_number_told,
        struct_pack(
            number := heard[3] is not null,
            status := heard[4] is not null or heard[5] is not null,
            currency := heard[6] is not null,
            placed_at := heard[7] is not null,
            cancelled_at := heard[4] is not null,
            total := heard[8] is not null or heard[9] = 'null',
            tax_total := heard[10] is not null or heard[11] = 'null',
            discount_total := heard[12] is not null or heard[13] = 'null',
            shipping_total := heard[14] is not null or heard[15] = 'null',
            prices_include_tax := heard[16] is not null,
            email := heard[17] is not null,
            phone := heard[18] is not null,
            customer := false,
            name := heard[19] is not null or heard[20] = 'null',
            street := heard[21] is not null or heard[20] = 'null' or heard[22] is not null or heard[20] = 'null',
            city := heard[23] is not null or heard[20] = 'null',
            postcode := heard[24] is not null or heard[20] = 'null',
            country := heard[25] is not null or heard[20] = 'null',
            country_name := false,
            erp_number := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.updatedAt', '$.name', '$.cancelledAt', '$.displayFinancialStatus', '$.currencyCode', '$.createdAt', '$.currentTotalPriceSet.shopMoney.amount', '$.currentTotalPriceSet', '$.currentTotalTaxSet.shopMoney.amount', '$.currentTotalTaxSet', '$.currentTotalDiscountsSet.shopMoney.amount', '$.currentTotalDiscountsSet', '$.totalShippingPriceSet.shopMoney.amount', '$.totalShippingPriceSet', '$.taxesIncluded', '$.email', '$.phone', '$.shippingAddress.name', '$.shippingAddress', '$.shippingAddress.address1', '$.shippingAddress.address2', '$.shippingAddress.city', '$.shippingAddress.zip', '$.shippingAddress.countryCodeV2']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'shopify' and stream = 'orders_read' and {{ in_batch("inbox_id") }}
    )
),
tryton_sales as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told((heard[2] ->> '$')) as order_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        cast(null as varchar) as number_told,
        case told((heard[4] ->> '$')) when 'draft' then 'placed' when 'quotation' then 'placed' when 'confirmed' then 'paid' when 'processing' then 'paid' when 'done' then 'paid' when 'cancelled' then 'cancelled' else told((heard[4] ->> '$')) end as status_told,
        told((heard[5] ->> '$')) as currency_told,
        cast(null as varchar) as placed_at_told,
        cast(null as varchar) as cancelled_at_told,
        told((heard[6] ->> '$')) as total_told,
        cast(null as varchar) as tax_total_told,
        cast(null as varchar) as discount_total_told,
        cast(null as varchar) as shipping_total_told,
        cast(null as varchar) as prices_include_tax_told,
        cast(null as varchar) as email_told,
        cast(null as varchar) as phone_told,
        cast(null as varchar) as customer_told,
        cast(null as varchar) as name_told,
        cast(null as varchar) as street_told,
        cast(null as varchar) as city_told,
        cast(null as varchar) as postcode_told,
        cast(null as varchar) as country_told,
        cast(null as varchar) as country_name_told,
        told((heard[7] ->> '$')) as erp_number_told,
        struct_pack(
            number := false,
            status := heard[4] is not null,
            currency := heard[5] is not null,
            placed_at := false,
            cancelled_at := false,
            total := heard[6] is not null,
            tax_total := false,
            discount_total := false,
            shipping_total := false,
            prices_include_tax := false,
            email := false,
            phone := false,
            customer := false,
            name := false,
            street := false,
            city := false,
            postcode := false,
            country := false,
            country_name := false,
            erp_number := heard[7] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.reference', '$.write_date', '$.state', '$.currency', '$.total_amount', '$.number']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'tryton' and stream = 'sales' and {{ in_batch("inbox_id") }}
    )
),
wholesale_order_files as (
    select
        inbox_id, system, stream, received_at, 'Europe/London' as zone,
        arrived_by, file_name, row_number, 0 as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('WHOLE-' || ((heard[1] ->> '$'))) as order_number,
        told(as_of) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[1] ->> '$')) as number_told,
        told(if((heard[1] ->> '$') like 'C%', 'cancelled', 'paid')) as status_told,
        told('GBP') as currency_told,
        told((heard[2] ->> '$')) as placed_at_told,
        cast(null as varchar) as cancelled_at_told,
        told(sum_of_products(heard[3], '$.Quantity', '$.UnitPrice')) as total_told,
        cast(null as varchar) as tax_total_told,
        cast(null as varchar) as discount_total_told,
        cast(null as varchar) as shipping_total_told,
        told('true') as prices_include_tax_told,
        cast(null as varchar) as email_told,
        cast(null as varchar) as phone_told,
        told((heard[4] ->> '$')) as customer_told,
        told(coalesce('Wholesale customer ' || ((heard[4] ->> '$')), 'Wholesale counter sale')) as name_told,
        cast(null as varchar) as street_told,
        cast(null as varchar) as city_told,
        cast(null as varchar) as postcode_told,
        cast(null as varchar) as country_told,
        told((heard[5] ->> '$')) as country_name_told,
        cast(null as varchar) as erp_number_told,
        struct_pack(
            number := heard[1] is not null,
            status := heard[1] is not null,
            currency := true,
            placed_at := heard[2] is not null,
            cancelled_at := false,
            total := heard[3] is not null,
            tax_total := false,
            discount_total := false,
            shipping_total := false,
            prices_include_tax := true,
            email := false,
            phone := false,
            customer := heard[4] is not null,
            name := heard[4] is not null,
            street := false,
            city := false,
            postcode := false,
            country := false,
            country_name := heard[5] is not null,
            erp_number := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.InvoiceNo', '$.rows[0].InvoiceDate', '$.rows', '$.rows[0].CustomerID', '$.rows[0].Country']) as heard,
            regexp_extract(file_name, '\d{4}-\d{2}-\d{2}') || ' 00:00:00' as as_of
        from {{ ref("landing_orders") }}
        where system = 'wholesale' and stream = 'order_files' and {{ in_batch("inbox_id") }}
    )
),

messages as (
    select * from shopify_orders union all by name
    select * from shopify_orders_deleted union all by name
    select * from shopify_orders_read union all by name
    select * from tryton_sales union all by name
    select * from wholesale_order_files
),

cast_to_type as (
    select
        *,
        minor_units(upper(currency_told)) as currency_units,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        number_told as number,
        status_told as status,
        upper(currency_told) as currency,
        as_instant(placed_at_told, zone) as placed_at,
        as_instant(cancelled_at_told, zone) as cancelled_at,
        as_decimal(total_told) as total,
        as_decimal(tax_total_told) as tax_total,
        as_decimal(discount_total_told) as discount_total,
        as_decimal(shipping_total_told) as shipping_total,
        as_boolean(prices_include_tax_told) as prices_include_tax,
        lower(email_told) as email,
        phone_told as phone,
        customer_told as customer,
        name_told as name,
        street_told as street,
        city_told as city,
        upper(postcode_told) as postcode,
        upper(country_told) as country,
        country_name_told as country_name,
        erp_number_told as erp_number
    from messages
),

judged as (
    select
        *,
        struct_pack(
            number := cast(null as varchar),
            status := case
                when system not in ('shopify', 'wholesale') or not said.status then null
                when status_told is not null and status not in ('placed', 'paid', 'refunded', 'cancelled') then '«' || status_told || '» is no status that the map knows'
                when status is null then 'is missing'
            end,
            currency := case
                when system not in ('shopify', 'wholesale') or not said.currency then null
                when currency_told is not null and currency_units is null then '«' || currency_told || '» is no ISO 4217 currency'
                when currency is null then 'is missing'
            end,
            placed_at := case
                when system not in ('shopify', 'wholesale') or not said.placed_at then null
                when placed_at_told is not null and placed_at is null then '«' || placed_at_told || '» is not a time'
                when placed_at is null then 'is missing'
            end,
            cancelled_at := case
                when system not in ('shopify', 'wholesale') or not said.cancelled_at then null
                when cancelled_at_told is not null and cancelled_at is null then '«' || cancelled_at_told || '» is not a time'
                when not (cancelled_at >= placed_at) then '«' || coalesce(cancelled_at_told, 'nothing') || '» breaks the rule ' || 'cancelled_at >= placed_at'
            end,
            total := case
                when system not in ('shopify', 'wholesale') or not said.total then null
                when total_told is not null and total is null then '«' || total_told || '» is not an amount of money'
                when not fits_units(total, currency_units) then '«' || total_told || '» has more decimals than ' || currency
                when total is null then 'is missing'
                when not (total >= 0 or status = 'cancelled') then '«' || coalesce(total_told, 'nothing') || '» breaks the rule ' || 'total >= 0 or status = ''cancelled'''
            end,
            tax_total := case
                when system not in ('shopify', 'wholesale') or not said.tax_total then null
                when tax_total_told is not null and tax_total is null then '«' || tax_total_told || '» is not an amount of money'
                when not fits_units(tax_total, currency_units) then '«' || tax_total_told || '» has more decimals than ' || currency
            end,
            discount_total := case
                when system not in ('shopify', 'wholesale') or not said.discount_total then null
                when discount_total_told is not null and discount_total is null then '«' || discount_total_told || '» is not an amount of money'
                when not fits_units(discount_total, currency_units) then '«' || discount_total_told || '» has more decimals than ' || currency
            end,
            shipping_total := case
                when system not in ('shopify', 'wholesale') or not said.shipping_total then null
                when shipping_total_told is not null and shipping_total is null then '«' || shipping_total_told || '» is not an amount of money'
                when not fits_units(shipping_total, currency_units) then '«' || shipping_total_told || '» has more decimals than ' || currency
            end,
            prices_include_tax := case
                when system not in ('shopify', 'wholesale') or not said.prices_include_tax then null
                when prices_include_tax_told is not null and prices_include_tax is null then '«' || prices_include_tax_told || '» is neither true nor false'
            end,
            email := case
                when system not in ('shopify', 'wholesale') or not said.email then null
                when email_told is not null and not is_email(email) then '«' || email_told || '» is no e-mail address'
            end,
            phone := case
                when system not in ('shopify', 'wholesale') or not said.phone then null
                when phone_told is not null and not is_phone(phone) then '«' || phone_told || '» is no telephone number'
            end,
            customer := cast(null as varchar),
            name := cast(null as varchar),
            street := cast(null as varchar),
            city := cast(null as varchar),
            postcode := cast(null as varchar),
            country := case
                when system not in ('shopify', 'wholesale') or not said.country then null
                when country_told is not null and not is_country(country) then '«' || country_told || '» is no ISO 3166 country'
            end,
            country_name := cast(null as varchar),
            erp_number := cast(null as varchar)
        ) as broken,
        list_filter([
            if(system in ('shopify', 'wholesale') and said.postcode and postcode_told is not null and not coalesce(not (not fits_country(postcode, country)), true), 'postcode: «' || postcode_told || '» is no postcode of its country', null),
            if(not coalesce(tax_total <= total or status = 'cancelled', true), 'tax_is_part_of_total: breaks the rule tax_total <= total or status = ''cancelled''', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
bad_order_lines as (
    select
        inbox_id,
        list('line ' || position || coalesce(' (' || sku || ')', '') || ' ' || reason order by position, reason) as reasons
    from (
        select inbox_id, position, sku, unnest(reasons) as reason
        from {{ ref("stg_order_lines") }}
        where len(reasons) > 0 and {{ in_batch("inbox_id") }}
        union all
        select inbox_id, max(position), arg_max(sku, position), 'has the id of another line: ' || line_id
        from {{ ref("stg_order_lines") }}
        where line_id is not null and {{ in_batch("inbox_id") }}
        group by inbox_id, line_id
        having count(*) > 1
    )
    group by inbox_id
)
,
rejections as (
    select
        judged.*,
        list_filter([
            if(order_number is null, 'order_number is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            'currency ' || broken.currency,
            null
        ], lambda reason: reason is not null)
            || coalesce(bad_order_lines.reasons, [])
            as rejections
    from judged
    left join bad_order_lines using (inbox_id)
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    order_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    number,
    status,
    currency,
    placed_at,
    cancelled_at,
    total,
    tax_total,
    discount_total,
    shipping_total,
    prices_include_tax,
    email,
    phone,
    customer,
    name,
    street,
    city,
    postcode,
    country,
    country_name,
    erp_number,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'number ' || broken.number,
        'status ' || broken.status,
        'placed_at ' || broken.placed_at,
        'cancelled_at ' || broken.cancelled_at,
        'total ' || broken.total,
        'tax_total ' || broken.tax_total,
        'discount_total ' || broken.discount_total,
        'shipping_total ' || broken.shipping_total,
        'prices_include_tax ' || broken.prices_include_tax,
        'email ' || broken.email,
        'phone ' || broken.phone,
        'customer ' || broken.customer,
        'name ' || broken.name,
        'street ' || broken.street,
        'city ' || broken.city,
        'postcode ' || broken.postcode,
        'country ' || broken.country,
        'country_name ' || broken.country_name,
        'erp_number ' || broken.erp_number
    ], lambda reason: reason is not null) as reasons
from rejections

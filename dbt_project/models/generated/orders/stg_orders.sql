-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about orders, in our words, cast and judged.
{{ config(tags=["sync_orders"]) }}

with
shopify_orders as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-' || ((heard[1] ->> '$'))) as order_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[4] ->> '$')) as number_told,
        case told(coalesce(if((heard[5] ->> '$') is not null, 'voided', null), (heard[6] ->> '$'))) when 'pending' then 'placed' when 'authorized' then 'placed' when 'partially_paid' then 'placed' when 'paid' then 'paid' when 'partially_refunded' then 'paid' when 'refunded' then 'refunded' when 'voided' then 'cancelled' when 'expired' then 'cancelled' else told(coalesce(if((heard[5] ->> '$') is not null, 'voided', null), (heard[6] ->> '$'))) end as status_told,
        told((heard[7] ->> '$')) as currency_told,
        told((heard[8] ->> '$')) as shown_currency_told,
        told((heard[9] ->> '$')) as placed_at_told,
        told((heard[5] ->> '$')) as cancelled_at_told,
        told(with_returned(coalesce((heard[10] ->> '$'), (heard[11] ->> '$')), heard[12], 'worth', (heard[13] ->> '$'))) as total_told,
        told(with_returned(coalesce((heard[14] ->> '$'), (heard[15] ->> '$')), heard[12], 'tax', (heard[13] ->> '$'))) as tax_total_told,
        told(with_returned(coalesce((heard[16] ->> '$'), (heard[17] ->> '$')), heard[12], 'discount', (heard[13] ->> '$'))) as discount_total_told,
        told((heard[18] ->> '$')) as shipping_total_told,
        told(sum_in(heard[20], '$.rate')) as shipping_tax_rate_told,
        told((heard[21] ->> '$')) as duties_total_told,
        told((heard[23] ->> '$')) as tip_total_told,
        cast(null as varchar) as gift_card_total_told,
        told((heard[13] ->> '$')) as prices_include_tax_told,
        told(coalesce((heard[24] ->> '$'), (heard[25] ->> '$'))) as email_told,
        told((heard[26] ->> '$')) as phone_told,
        told((heard[27] ->> '$')) as customer_told,
        told((heard[27] ->> '$')) as shop_number_told,
        told((heard[29] ->> '$')) as name_told,
        told(concat_ws(', ', (heard[31] ->> '$'), (heard[32] ->> '$'))) as street_told,
        told((heard[33] ->> '$')) as city_told,
        told((heard[34] ->> '$')) as postcode_told,
        told((heard[35] ->> '$')) as country_told,
        cast(null as varchar) as country_name_told,
        cast(null as varchar) as erp_number_told,
        told((heard[36] ->> '$')) as channel_told,
        told((heard[37] ->> '$')) as marketplace_number_told,
        told(attribute_of(heard[2], 'Pickup-Location-Id')) as pickup_location_told,
        told(list_contains(string_split((heard[38] ->> '$'), ', '), 'on-hold')) as is_on_hold_told,
        told((heard[39] ->> '$')) as note_told,
        told(attributes_in(heard[2], '$.name', '$.value')) as attributes_told,
        struct_pack(
            number := heard[4] is not null,
            status := heard[5] is not null or heard[6] is not null,
            currency := heard[7] is not null,
            shown_currency := heard[8] is not null,
            placed_at := heard[9] is not null,
            cancelled_at := heard[5] is not null,
            total := heard[10] is not null or heard[11] is not null or heard[12] is not null or heard[13] is not null,
            tax_total := heard[14] is not null or heard[15] is not null or heard[12] is not null or heard[13] is not null,
            discount_total := heard[16] is not null or heard[17] is not null or heard[12] is not null or heard[13] is not null,
            shipping_total := heard[18] is not null or heard[19] = 'null',
            shipping_tax_rate := heard[20] is not null,
            duties_total := heard[21] is not null or heard[22] = 'null',
            tip_total := heard[23] is not null,
            gift_card_total := false,
            prices_include_tax := heard[13] is not null,
            email := heard[24] is not null or heard[25] is not null,
            phone := heard[26] is not null,
            customer := heard[27] is not null or heard[28] = 'null',
            shop_number := heard[27] is not null or heard[28] = 'null',
            name := heard[29] is not null or heard[30] = 'null',
            street := heard[31] is not null or heard[30] = 'null' or heard[32] is not null or heard[30] = 'null',
            city := heard[33] is not null or heard[30] = 'null',
            postcode := heard[34] is not null or heard[30] = 'null',
            country := heard[35] is not null or heard[30] = 'null',
            country_name := false,
            erp_number := false,
            channel := heard[36] is not null,
            marketplace_number := heard[37] is not null,
            pickup_location := heard[2] is not null,
            is_on_hold := heard[38] is not null,
            note := heard[39] is not null,
            attributes := heard[2] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.note_attributes', '$.updated_at', '$.name', '$.cancelled_at', '$.financial_status', '$.currency', '$.presentment_currency', '$.created_at', '$.current_total_price', '$.total_price', '$.refunds', '$.taxes_included', '$.current_total_tax', '$.total_tax', '$.current_total_discounts', '$.total_discounts', '$.total_shipping_price_set.shop_money.amount', '$.total_shipping_price_set', '$.shipping_lines[0].tax_lines', '$.current_total_duties_set.shop_money.amount', '$.current_total_duties_set', '$.total_tip_received', '$.email', '$.contact_email', '$.phone', '$.customer.id', '$.customer', '$.shipping_address.name', '$.shipping_address', '$.shipping_address.address1', '$.shipping_address.address2', '$.shipping_address.city', '$.shipping_address.zip', '$.shipping_address.country_code', '$.source_name', '$.source_identifier', '$.tags', '$.note']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'shopify' and stream = 'orders'
    )
    where not has_attribute(heard[2], 'parent_order')
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
        cast(null as varchar) as shown_currency_told,
        cast(null as varchar) as placed_at_told,
        cast(null as varchar) as cancelled_at_told,
        cast(null as varchar) as total_told,
        cast(null as varchar) as tax_total_told,
        cast(null as varchar) as discount_total_told,
        cast(null as varchar) as shipping_total_told,
        cast(null as varchar) as shipping_tax_rate_told,
        cast(null as varchar) as duties_total_told,
        cast(null as varchar) as tip_total_told,
        cast(null as varchar) as gift_card_total_told,
        cast(null as varchar) as prices_include_tax_told,
        cast(null as varchar) as email_told,
        cast(null as varchar) as phone_told,
        cast(null as varchar) as customer_told,
        cast(null as varchar) as shop_number_told,
        cast(null as varchar) as name_told,
        cast(null as varchar) as street_told,
        cast(null as varchar) as city_told,
        cast(null as varchar) as postcode_told,
        cast(null as varchar) as country_told,
        cast(null as varchar) as country_name_told,
        cast(null as varchar) as erp_number_told,
        cast(null as varchar) as channel_told,
        cast(null as varchar) as marketplace_number_told,
        cast(null as varchar) as pickup_location_told,
        cast(null as varchar) as is_on_hold_told,
        cast(null as varchar) as note_told,
        cast(null as varchar) as attributes_told,
        struct_pack(
            number := false,
            status := false,
            currency := false,
            shown_currency := false,
            placed_at := false,
            cancelled_at := false,
            total := false,
            tax_total := false,
            discount_total := false,
            shipping_total := false,
            shipping_tax_rate := false,
            duties_total := false,
            tip_total := false,
            gift_card_total := false,
            prices_include_tax := false,
            email := false,
            phone := false,
            customer := false,
            shop_number := false,
            name := false,
            street := false,
            city := false,
            postcode := false,
            country := false,
            country_name := false,
            erp_number := false,
            channel := false,
            marketplace_number := false,
            pickup_location := false,
            is_on_hold := false,
            note := false,
            attributes := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'shopify' and stream = 'orders_deleted'
    )
),
shopify_orders_read as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(remote_id) as remote_id,
        told('SHOP-' || regexp_extract((heard[1] ->> '$'), '\d+$')) as order_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[4] ->> '$')) as number_told,
        case told(coalesce(if((heard[5] ->> '$') is not null, 'VOIDED', null), (heard[6] ->> '$'))) when 'PENDING' then 'placed' when 'AUTHORIZED' then 'placed' when 'PARTIALLY_PAID' then 'placed' when 'PAID' then 'paid' when 'PARTIALLY_REFUNDED' then 'paid' when 'REFUNDED' then 'refunded' when 'VOIDED' then 'cancelled' when 'EXPIRED' then 'cancelled' else told(coalesce(if((heard[5] ->> '$') is not null, 'VOIDED', null), (heard[6] ->> '$'))) end as status_told,
        told((heard[7] ->> '$')) as currency_told,
        told((heard[8] ->> '$')) as shown_currency_told,
        told((heard[9] ->> '$')) as placed_at_told,
        told((heard[5] ->> '$')) as cancelled_at_told,
        told(with_returned((heard[10] ->> '$'), heard[11], 'worth', (heard[12] ->> '$'))) as total_told,
        told(with_returned((heard[14] ->> '$'), heard[11], 'tax', (heard[12] ->> '$'))) as tax_total_told,
        told(with_returned((heard[16] ->> '$'), heard[11], 'discount', (heard[12] ->> '$'))) as discount_total_told,
        told((heard[18] ->> '$')) as shipping_total_told,
        told(sum_in(heard[20], '$.rate')) as shipping_tax_rate_told,
        told((heard[22] ->> '$')) as duties_total_told,
        told((heard[24] ->> '$')) as tip_total_told,
        told(paid_through(heard[26], 'gift_card')) as gift_card_total_told,
        told((heard[12] ->> '$')) as prices_include_tax_told,
        told((heard[27] ->> '$')) as email_told,
        told((heard[28] ->> '$')) as phone_told,
        told((heard[29] ->> '$')) as customer_told,
        told((heard[29] ->> '$')) as shop_number_told,
        told((heard[31] ->> '$')) as name_told,
        told(concat_ws(', ', (heard[33] ->> '$'), (heard[34] ->> '$'))) as street_told,
        told((heard[35] ->> '$')) as city_told,
        told((heard[36] ->> '$')) as postcode_told,
        told((heard[37] ->> '$')) as country_told,
        cast(null as varchar) as country_name_told,
        cast(null as varchar) as erp_number_told,
        told((heard[38] ->> '$')) as channel_told,
        told((heard[39] ->> '$')) as marketplace_number_told,
        told(attribute_of(heard[2], 'Pickup-Location-Id')) as pickup_location_told,
        told(list_contains(cast(heard[40] as varchar[]), 'on-hold')) as is_on_hold_told,
        told((heard[41] ->> '$')) as note_told,
        told(attributes_in(heard[2], '$.key', '$.value')) as attributes_told,
        struct_pack(
            number := heard[4] is not null,
            status := heard[5] is not null or heard[6] is not null,
            currency := heard[7] is not null,
            shown_currency := heard[8] is not null,
            placed_at := heard[9] is not null,
            cancelled_at := heard[5] is not null,
            total := heard[10] is not null or heard[13] = 'null' or heard[11] is not null or heard[12] is not null,
            tax_total := heard[14] is not null or heard[15] = 'null' or heard[11] is not null or heard[12] is not null,
            discount_total := heard[16] is not null or heard[17] = 'null' or heard[11] is not null or heard[12] is not null,
            shipping_total := heard[18] is not null or heard[19] = 'null',
            shipping_tax_rate := heard[20] is not null or heard[21] = 'null',
            duties_total := heard[22] is not null or heard[23] = 'null',
            tip_total := heard[24] is not null or heard[25] = 'null',
            gift_card_total := heard[26] is not null,
            prices_include_tax := heard[12] is not null,
            email := heard[27] is not null,
            phone := heard[28] is not null,
            customer := heard[29] is not null or heard[30] = 'null',
            shop_number := heard[29] is not null or heard[30] = 'null',
            name := heard[31] is not null or heard[32] = 'null',
            street := heard[33] is not null or heard[32] = 'null' or heard[34] is not null or heard[32] = 'null',
            city := heard[35] is not null or heard[32] = 'null',
            postcode := heard[36] is not null or heard[32] = 'null',
            country := heard[37] is not null or heard[32] = 'null',
            country_name := false,
            erp_number := false,
            channel := heard[38] is not null,
            marketplace_number := heard[39] is not null,
            pickup_location := heard[2] is not null,
            is_on_hold := heard[40] is not null,
            note := heard[41] is not null,
            attributes := heard[2] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.customAttributes', '$.updatedAt', '$.name', '$.cancelledAt', '$.displayFinancialStatus', '$.currencyCode', '$.presentmentCurrencyCode', '$.createdAt', '$.currentTotalPriceSet.shopMoney.amount', '$.refunds', '$.taxesIncluded', '$.currentTotalPriceSet', '$.currentTotalTaxSet.shopMoney.amount', '$.currentTotalTaxSet', '$.currentTotalDiscountsSet.shopMoney.amount', '$.currentTotalDiscountsSet', '$.totalShippingPriceSet.shopMoney.amount', '$.totalShippingPriceSet', '$.shippingLine.taxLines', '$.shippingLine', '$.currentTotalDutiesSet.shopMoney.amount', '$.currentTotalDutiesSet', '$.totalTipReceivedSet.shopMoney.amount', '$.totalTipReceivedSet', '$.transactions', '$.email', '$.phone', '$.customer.legacyResourceId', '$.customer', '$.shippingAddress.name', '$.shippingAddress', '$.shippingAddress.address1', '$.shippingAddress.address2', '$.shippingAddress.city', '$.shippingAddress.zip', '$.shippingAddress.countryCodeV2', '$.sourceName', '$.sourceIdentifier', '$.tags', '$.note']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'shopify' and stream = 'orders_read'
    )
    where not has_attribute(heard[2], 'parent_order')
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
        cast(null as varchar) as shown_currency_told,
        cast(null as varchar) as placed_at_told,
        cast(null as varchar) as cancelled_at_told,
        told((heard[6] ->> '$')) as total_told,
        cast(null as varchar) as tax_total_told,
        cast(null as varchar) as discount_total_told,
        cast(null as varchar) as shipping_total_told,
        cast(null as varchar) as shipping_tax_rate_told,
        cast(null as varchar) as duties_total_told,
        cast(null as varchar) as tip_total_told,
        cast(null as varchar) as gift_card_total_told,
        cast(null as varchar) as prices_include_tax_told,
        cast(null as varchar) as email_told,
        cast(null as varchar) as phone_told,
        cast(null as varchar) as customer_told,
        cast(null as varchar) as shop_number_told,
        cast(null as varchar) as name_told,
        cast(null as varchar) as street_told,
        cast(null as varchar) as city_told,
        cast(null as varchar) as postcode_told,
        cast(null as varchar) as country_told,
        cast(null as varchar) as country_name_told,
        told((heard[7] ->> '$')) as erp_number_told,
        cast(null as varchar) as channel_told,
        cast(null as varchar) as marketplace_number_told,
        cast(null as varchar) as pickup_location_told,
        cast(null as varchar) as is_on_hold_told,
        cast(null as varchar) as note_told,
        cast(null as varchar) as attributes_told,
        struct_pack(
            number := false,
            status := heard[4] is not null,
            currency := heard[5] is not null,
            shown_currency := false,
            placed_at := false,
            cancelled_at := false,
            total := heard[6] is not null,
            tax_total := false,
            discount_total := false,
            shipping_total := false,
            shipping_tax_rate := false,
            duties_total := false,
            tip_total := false,
            gift_card_total := false,
            prices_include_tax := false,
            email := false,
            phone := false,
            customer := false,
            shop_number := false,
            name := false,
            street := false,
            city := false,
            postcode := false,
            country := false,
            country_name := false,
            erp_number := heard[7] is not null,
            channel := false,
            marketplace_number := false,
            pickup_location := false,
            is_on_hold := false,
            note := false,
            attributes := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.reference', '$.write_date', '$.state', '$.currency', '$.total_amount', '$.number']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_orders") }}
        where system = 'tryton' and stream = 'sales'
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
        cast(null as varchar) as shown_currency_told,
        told((heard[2] ->> '$')) as placed_at_told,
        cast(null as varchar) as cancelled_at_told,
        told(sum_of_products(heard[3], '$.Quantity', '$.UnitPrice')) as total_told,
        cast(null as varchar) as tax_total_told,
        cast(null as varchar) as discount_total_told,
        cast(null as varchar) as shipping_total_told,
        cast(null as varchar) as shipping_tax_rate_told,
        cast(null as varchar) as duties_total_told,
        cast(null as varchar) as tip_total_told,
        cast(null as varchar) as gift_card_total_told,
        told('true') as prices_include_tax_told,
        cast(null as varchar) as email_told,
        cast(null as varchar) as phone_told,
        told((heard[4] ->> '$')) as customer_told,
        cast(null as varchar) as shop_number_told,
        told(coalesce('Wholesale customer ' || ((heard[4] ->> '$')), 'Wholesale counter sale')) as name_told,
        cast(null as varchar) as street_told,
        cast(null as varchar) as city_told,
        cast(null as varchar) as postcode_told,
        cast(null as varchar) as country_told,
        told((heard[5] ->> '$')) as country_name_told,
        cast(null as varchar) as erp_number_told,
        cast(null as varchar) as channel_told,
        cast(null as varchar) as marketplace_number_told,
        cast(null as varchar) as pickup_location_told,
        cast(null as varchar) as is_on_hold_told,
        cast(null as varchar) as note_told,
        cast(null as varchar) as attributes_told,
        struct_pack(
            number := heard[1] is not null,
            status := heard[1] is not null,
            currency := true,
            shown_currency := false,
            placed_at := heard[2] is not null,
            cancelled_at := false,
            total := heard[3] is not null,
            tax_total := false,
            discount_total := false,
            shipping_total := false,
            shipping_tax_rate := false,
            duties_total := false,
            tip_total := false,
            gift_card_total := false,
            prices_include_tax := true,
            email := false,
            phone := false,
            customer := heard[4] is not null,
            shop_number := false,
            name := heard[4] is not null,
            street := false,
            city := false,
            postcode := false,
            country := false,
            country_name := heard[5] is not null,
            erp_number := false,
            channel := false,
            marketplace_number := false,
            pickup_location := false,
            is_on_hold := false,
            note := false,
            attributes := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.InvoiceNo', '$.rows[0].InvoiceDate', '$.rows', '$.rows[0].CustomerID', '$.rows[0].Country']) as heard,
            regexp_extract(file_name, '\d{4}-\d{2}-\d{2}') || ' 00:00:00' as as_of
        from {{ ref("landing_orders") }}
        where system = 'wholesale' and stream = 'order_files'
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
        upper(shown_currency_told) as shown_currency,
        as_instant(placed_at_told, zone) as placed_at,
        as_instant(cancelled_at_told, zone) as cancelled_at,
        as_decimal(total_told) as total,
        as_decimal(tax_total_told) as tax_total,
        as_decimal(discount_total_told) as discount_total,
        as_decimal(shipping_total_told) as shipping_total,
        as_decimal(shipping_tax_rate_told) as shipping_tax_rate,
        as_decimal(duties_total_told) as duties_total,
        as_decimal(tip_total_told) as tip_total,
        as_decimal(gift_card_total_told) as gift_card_total,
        as_boolean(prices_include_tax_told) as prices_include_tax,
        lower(email_told) as email,
        phone_told as phone,
        customer_told as customer,
        shop_number_told as shop_number,
        name_told as name,
        street_told as street,
        city_told as city,
        upper(postcode_told) as postcode,
        upper(country_told) as country,
        country_name_told as country_name,
        erp_number_told as erp_number,
        channel_told as channel,
        marketplace_number_told as marketplace_number,
        pickup_location_told as pickup_location,
        as_boolean(is_on_hold_told) as is_on_hold,
        note_told as note,
        attributes_told as attributes
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
            shown_currency := case
                when system not in ('shopify', 'wholesale') or not said.shown_currency then null
                when shown_currency_told is not null and minor_units(shown_currency) is null then '«' || shown_currency_told || '» is no ISO 4217 currency'
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
            shipping_tax_rate := case
                when system not in ('shopify', 'wholesale') or not said.shipping_tax_rate then null
                when shipping_tax_rate_told is not null and shipping_tax_rate is null then '«' || shipping_tax_rate_told || '» is not a rate'
            end,
            duties_total := case
                when system not in ('shopify', 'wholesale') or not said.duties_total then null
                when duties_total_told is not null and duties_total is null then '«' || duties_total_told || '» is not an amount of money'
                when not fits_units(duties_total, currency_units) then '«' || duties_total_told || '» has more decimals than ' || currency
            end,
            tip_total := case
                when system not in ('shopify', 'wholesale') or not said.tip_total then null
                when tip_total_told is not null and tip_total is null then '«' || tip_total_told || '» is not an amount of money'
                when not fits_units(tip_total, currency_units) then '«' || tip_total_told || '» has more decimals than ' || currency
            end,
            gift_card_total := case
                when system not in ('shopify', 'wholesale') or not said.gift_card_total then null
                when gift_card_total_told is not null and gift_card_total is null then '«' || gift_card_total_told || '» is not an amount of money'
                when not fits_units(gift_card_total, currency_units) then '«' || gift_card_total_told || '» has more decimals than ' || currency
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
                when phone_told is not null and not is_phone(phone, country) then '«' || phone_told || '» is no telephone number'
            end,
            customer := cast(null as varchar),
            shop_number := cast(null as varchar),
            name := cast(null as varchar),
            street := cast(null as varchar),
            city := cast(null as varchar),
            postcode := cast(null as varchar),
            country := case
                when system not in ('shopify', 'wholesale') or not said.country then null
                when country_told is not null and not is_country(country) then '«' || country_told || '» is no ISO 3166 country'
            end,
            country_name := cast(null as varchar),
            erp_number := cast(null as varchar),
            channel := cast(null as varchar),
            marketplace_number := cast(null as varchar),
            pickup_location := cast(null as varchar),
            is_on_hold := case
                when system not in ('shopify', 'wholesale') or not said.is_on_hold then null
                when is_on_hold_told is not null and is_on_hold is null then '«' || is_on_hold_told || '» is neither true nor false'
            end,
            note := cast(null as varchar),
            attributes := cast(null as varchar)
        ) as broken,
        list_filter([
            if(system in ('shopify', 'wholesale') and said.postcode and postcode_told is not null and not coalesce(not (not fits_country(postcode, country)), true), 'postcode: «' || postcode_told || '» is no postcode of its country', null),
            if(not coalesce(tax_total <= total or status = 'cancelled', true), 'tax_is_part_of_total: breaks the rule tax_total <= total or status = ''cancelled''', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) || if(
            system in ('shopify', 'wholesale') and said.country,
            list_filter(['address: lacks ' || nullif(concat_ws(' and ', if(street is null and asks_for(country, 'street'), 'street', null), if(city is null and asks_for(country, 'city'), 'city', null), if(postcode is null and asks_for(country, 'postcode'), 'postcode', null)), '') || ', which addresses in ' || country || ' have'], lambda reason: reason is not null), []
        ) as warnings
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
        where len(reasons) > 0
        union all
        select inbox_id, max(position), arg_max(sku, position), 'has the id of another line: ' || line_id
        from {{ ref("stg_order_lines") }}
        where line_id is not null
        group by inbox_id, line_id
        having count(*) > 1
    )
    group by inbox_id
)
,
doubtful_order_lines as (
    select inbox_id, list('order_lines: ' || line_id || ' ' || warning order by position, warning) as doubts
    from (
        select inbox_id, position, line_id, unnest(warnings) as warning
        from {{ ref("stg_order_lines") }}
        where len(warnings) > 0
    )
    group by inbox_id
)
,
-- What the lines of each message come to, as far as they count.
goods as (
    select
        inbox_id, sum(amount) as goods, list(struct_pack(amount := amount, rate := coalesce(rate, 0))) as taxed,
        count(rate) > 0 as has_rates, bool_or(amount is null) as has_broken_lines
    from (
        select
            inbox_id,
            cast(quantity as double) * cast(unit_price as double) as amount,
            cast(tax_rate as double) as rate
        from {{ ref("stg_order_lines") }}
    )
    group by inbox_id
),
amounts as (
    select
        inbox_id, currency_units as units, 5 / 10 ** currency_units as tolerance,
        coalesce(prices_include_tax, false) as is_included, goods, taxed, has_rates,
        cast(total as double) as total,
        coalesce(cast(discount_total as double), 0) as discount_total,
        coalesce(cast(shipping_total as double), 0) as shipping_total,
        coalesce(cast(duties_total as double), 0) as duties_total,
        coalesce(cast(tip_total as double), 0) as tip_total,
        if(said.shipping_tax_rate, coalesce(cast(shipping_tax_rate as double), 0), null) as shipping_tax_rate,
        cast(tax_total as double) as tax_told
    from judged
    join goods using (inbox_id)
    where tells_lines and said.total and system in ('shopify', 'wholesale')
        and not has_broken_lines and coalesce(status <> 'cancelled', true)
),
taxes as (
    select
        *, goods - discount_total + shipping_total + duties_total + tip_total as before_tax,
        tax_by_line(after_discount, is_included, units) as tax_by_line,
        tax_by_order(after_discount, is_included, units) as tax_by_order,
        tax_by_line(taxed, is_included, units) as tax_before_discount
    from (
        -- The discount is spread over the lines by their value. Where nobody tells a rate, the tax cannot be reckoned.
        select
            * exclude (taxed),
            if(is_reckoned, taxed || [struct_pack(amount := shipping_total, rate := shipping_tax_rate)], null) as taxed,
            if(is_reckoned, share_of(taxed, if(goods = 0, 1, 1 - discount_total / goods)) || [struct_pack(amount := shipping_total, rate := shipping_tax_rate)], null) as after_discount
        from (select *, has_rates and (shipping_total = 0 or shipping_tax_rate is not null) as is_reckoned from amounts)
    )
),
sums as (
    select
        inbox_id,
        list_filter([
            if(not is_near(total, due, tolerance), is_off_by('total', total, due, units) || case
                when is_near(total, before_tax + if(is_included, 0, tax_by_order), tolerance) then '; it fits if the tax is rounded once for the whole'
                when is_near(total, before_tax + if(is_included, 0, tax_before_discount), tolerance) then '; it fits if the discount is taken off after the tax'
                when is_near(total, if(is_included, due + tax, null), tolerance) then '; it fits if its prices do not include the tax'
                when is_near(total, if(is_included, null, before_tax), tolerance) then '; it fits if its prices include the tax'
                when is_near(total, due + discount_total, tolerance) then '; it fits if discount_total is not taken off'
                when is_near(total, due - shipping_total, tolerance) then '; it fits if shipping_total is not added'
                when is_near(total, due - duties_total, tolerance) then '; it fits if duties_total is not added'
                when is_near(total, due - tip_total, tolerance) then '; it fits if tip_total is not added'
                else ''
            end, null),
            if(not is_near(tax_told, tax_due, tolerance), is_off_by('tax_total', tax_told, tax_due, units) || case
                when is_near(tax_told, tax_by_order, tolerance) then '; it fits if the tax is rounded once for the whole'
                when is_near(tax_told, tax_before_discount, tolerance) then '; it fits if the discount is taken off after the tax'
                else ''
            end, null)
        ], lambda reason: reason is not null) as reasons
    from (
        select
            *, before_tax + if(is_included, 0, tax) as due
        from (select *, coalesce(tax_told, tax_by_line, 0) as tax, tax_by_line as tax_due from taxes)
    )
)
,
rejections as (
    select
        judged.* replace (warnings || coalesce(sums.reasons, []) || coalesce(doubtful_order_lines.doubts, []) as warnings),
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
    left join doubtful_order_lines using (inbox_id)
    left join sums using (inbox_id)
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
    shown_currency,
    placed_at,
    cancelled_at,
    total,
    tax_total,
    discount_total,
    shipping_total,
    shipping_tax_rate,
    duties_total,
    tip_total,
    gift_card_total,
    prices_include_tax,
    email,
    phone,
    customer,
    shop_number,
    name,
    street,
    city,
    postcode,
    country,
    country_name,
    erp_number,
    channel,
    marketplace_number,
    pickup_location,
    is_on_hold,
    note,
    attributes,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'number ' || broken.number,
        'status ' || broken.status,
        'shown_currency ' || broken.shown_currency,
        'placed_at ' || broken.placed_at,
        'cancelled_at ' || broken.cancelled_at,
        'total ' || broken.total,
        'tax_total ' || broken.tax_total,
        'discount_total ' || broken.discount_total,
        'shipping_total ' || broken.shipping_total,
        'shipping_tax_rate ' || broken.shipping_tax_rate,
        'duties_total ' || broken.duties_total,
        'tip_total ' || broken.tip_total,
        'gift_card_total ' || broken.gift_card_total,
        'prices_include_tax ' || broken.prices_include_tax,
        'email ' || broken.email,
        'phone ' || broken.phone,
        'customer ' || broken.customer,
        'shop_number ' || broken.shop_number,
        'name ' || broken.name,
        'street ' || broken.street,
        'city ' || broken.city,
        'postcode ' || broken.postcode,
        'country ' || broken.country,
        'country_name ' || broken.country_name,
        'erp_number ' || broken.erp_number,
        'channel ' || broken.channel,
        'marketplace_number ' || broken.marketplace_number,
        'pickup_location ' || broken.pickup_location,
        'is_on_hold ' || broken.is_on_hold,
        'note ' || broken.note,
        'attributes ' || broken.attributes
    ], lambda reason: reason is not null) as reasons
from rejections

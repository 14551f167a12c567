-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of a message about order_lines, in our words, cast and judged.
{{ config(tags=["sync_orders"]) }}

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
                json_extract(payload, ['$.id', '$.updated_at', '$.refunds']) as heard,
                as_list(payload -> '$.line_items') as items
            from {{ ref("landing_orders") }}
            where system = 'shopify' and stream = 'orders'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.id', '$.sku', '$.title', '$.current_quantity', '$.quantity', '$.price', '$.price_set.presentment_money.amount', '$.price_set', '$.discount_allocations', '$.properties', '$.tax_lines']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told('SHOP-' || ((heard[1] ->> '$'))) as order_number,
        told((item_heard[1] ->> '$')) as line_id,
        told((item_heard[2] ->> '$')) as sku_told,
        told((item_heard[3] ->> '$')) as title_told,
        told(and_returned(coalesce((item_heard[4] ->> '$'), left_over((item_heard[5] ->> '$'), heard[3], (item_heard[1] ->> '$'))), heard[3], (item_heard[1] ->> '$'))) as quantity_told,
        told((item_heard[6] ->> '$')) as unit_price_told,
        told((item_heard[7] ->> '$')) as shown_price_told,
        told(sum_in(item_heard[9], '$.amount')) as discount_told,
        told(sum_in(item_heard[11], '$.rate')) as tax_rate_told,
        told(attributes_in(item_heard[10], '$.name', '$.value')) as properties_told,
        cast(null as varchar) as is_credit_told,
        struct_pack(
            sku := item_heard[2] is not null,
            title := item_heard[3] is not null,
            quantity := item_heard[4] is not null or item_heard[5] is not null or heard[3] is not null or item_heard[1] is not null,
            unit_price := item_heard[6] is not null,
            shown_price := item_heard[7] is not null or item_heard[8] = 'null',
            discount := item_heard[9] is not null,
            tax_rate := item_heard[11] is not null,
            properties := item_heard[10] is not null,
            is_credit := false
        ) as said
    from lines
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
                json_extract(payload, ['$.id', '$.updatedAt', '$.refunds']) as heard,
                as_list(payload -> '$.lineItems.nodes') as items
            from {{ ref("landing_orders") }}
            where system = 'shopify' and stream = 'orders_read'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.id', '$.sku', '$.title', '$.currentQuantity', '$.originalUnitPriceSet.shopMoney.amount', '$.originalUnitPriceSet', '$.originalUnitPriceSet.presentmentMoney.amount', '$.discountAllocations', '$.customAttributes', '$.taxLines']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told('SHOP-' || regexp_extract((heard[1] ->> '$'), '\d+$')) as order_number,
        told(regexp_extract((item_heard[1] ->> '$'), '\d+$')) as line_id,
        told((item_heard[2] ->> '$')) as sku_told,
        told((item_heard[3] ->> '$')) as title_told,
        told(and_returned((item_heard[4] ->> '$'), heard[3], regexp_extract((item_heard[1] ->> '$'), '\\d+$'))) as quantity_told,
        told((item_heard[5] ->> '$')) as unit_price_told,
        told((item_heard[7] ->> '$')) as shown_price_told,
        told(sum_in(item_heard[8], '$.allocatedAmountSet.shopMoney.amount')) as discount_told,
        told(sum_in(item_heard[10], '$.rate')) as tax_rate_told,
        told(attributes_in(item_heard[9], '$.key', '$.value')) as properties_told,
        cast(null as varchar) as is_credit_told,
        struct_pack(
            sku := item_heard[2] is not null,
            title := item_heard[3] is not null,
            quantity := item_heard[4] is not null or heard[3] is not null or item_heard[1] is not null,
            unit_price := item_heard[5] is not null or item_heard[6] = 'null',
            shown_price := item_heard[7] is not null or item_heard[6] = 'null',
            discount := item_heard[8] is not null,
            tax_rate := item_heard[10] is not null,
            properties := item_heard[9] is not null,
            is_credit := false
        ) as said
    from lines
),
wholesale_order_files as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.InvoiceNo']) as heard,
                as_list(payload -> '$.rows') as items
            from {{ ref("landing_orders") }}
            where system = 'wholesale' and stream = 'order_files'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.StockCode', '$.Description', '$.Quantity', '$.UnitPrice']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'Europe/London' as zone,
        position,
        told('WHOLE-' || ((heard[1] ->> '$'))) as order_number,
        told((item_heard[1] ->> '$')) || '#' || row_number() over (partition by inbox_id, (item_heard[1] ->> '$') order by position) as line_id,
        told((item_heard[1] ->> '$')) as sku_told,
        told((item_heard[2] ->> '$')) as title_told,
        told((item_heard[3] ->> '$')) as quantity_told,
        told((item_heard[4] ->> '$')) as unit_price_told,
        cast(null as varchar) as shown_price_told,
        cast(null as varchar) as discount_told,
        cast(null as varchar) as tax_rate_told,
        cast(null as varchar) as properties_told,
        told(if((heard[1] ->> '$') like 'C%', 'true', 'false')) as is_credit_told,
        struct_pack(
            sku := item_heard[1] is not null,
            title := item_heard[2] is not null,
            quantity := item_heard[3] is not null,
            unit_price := item_heard[4] is not null,
            shown_price := false,
            discount := false,
            tax_rate := false,
            properties := false,
            is_credit := heard[1] is not null
        ) as said
    from lines
),

messages as (
    select * from shopify_orders union all by name
    select * from shopify_orders_read union all by name
    select * from wholesale_order_files
),

cast_to_type as (
    select
        *,
        sku_told as sku,
        title_told as title,
        as_whole(quantity_told) as quantity,
        as_decimal(unit_price_told) as unit_price,
        as_decimal(shown_price_told) as shown_price,
        as_decimal(discount_told) as discount,
        as_decimal(tax_rate_told) as tax_rate,
        properties_told as properties,
        as_boolean(is_credit_told) as is_credit
    from messages
),

judged as (
    select
        *,
        struct_pack(
            sku := cast(null as varchar),
            title := cast(null as varchar),
            quantity := case
                when system not in ('shopify', 'wholesale') or not said.quantity then null
                when quantity_told is not null and quantity is null then '«' || quantity_told || '» is not a whole quantity'
                when quantity is null then 'is missing'
                when not (quantity >= 0 or is_credit) then '«' || coalesce(quantity_told, 'nothing') || '» breaks the rule ' || 'quantity >= 0 or is_credit'
            end,
            unit_price := case
                when system not in ('shopify', 'wholesale') or not said.unit_price then null
                when unit_price_told is not null and unit_price is null then '«' || unit_price_told || '» is not a price with at most 10 decimals'
                when unit_price is null then 'is missing'
                when not (unit_price >= 0 or is_credit) then '«' || coalesce(unit_price_told, 'nothing') || '» breaks the rule ' || 'unit_price >= 0 or is_credit'
            end,
            shown_price := case
                when system not in ('shopify', 'wholesale') or not said.shown_price then null
                when shown_price_told is not null and shown_price is null then '«' || shown_price_told || '» is not a price with at most 10 decimals'
            end,
            discount := case
                when system not in ('shopify', 'wholesale') or not said.discount then null
                when discount_told is not null and discount is null then '«' || discount_told || '» is not an amount of money'
            end,
            tax_rate := case
                when system not in ('shopify', 'wholesale') or not said.tax_rate then null
                when tax_rate_told is not null and tax_rate is null then '«' || tax_rate_told || '» is not a rate'
            end,
            properties := cast(null as varchar),
            is_credit := case
                when system not in ('shopify', 'wholesale') or not said.is_credit then null
                when is_credit_told is not null and is_credit is null then '«' || is_credit_told || '» is neither true nor false'
            end
        ) as broken,
        list_filter([
            if(system in ('shopify', 'wholesale') and said.sku and sku is null, 'sku: is missing', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)

select
    inbox_id, system, stream, received_at,
    position,
    order_number,
    line_id,
    sku,
    title,
    quantity,
    unit_price,
    shown_price,
    discount,
    tax_rate,
    properties,
    is_credit,
    said, broken, warnings,
    list_filter([
        if(line_id is null, 'line_id is missing', null),
        'sku ' || broken.sku,
        'title ' || broken.title,
        'quantity ' || broken.quantity,
        'unit_price ' || broken.unit_price,
        'shown_price ' || broken.shown_price,
        'discount ' || broken.discount,
        'tax_rate ' || broken.tax_rate,
        'properties ' || broken.properties,
        'is_credit ' || broken.is_credit
    ], lambda reason: reason is not null) as reasons
from judged

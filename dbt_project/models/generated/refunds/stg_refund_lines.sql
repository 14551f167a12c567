-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of a message about refund_lines, in our words, cast and judged.
{{ config(tags=["sync_refunds"]) }}

with
shopify_refunds as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.note', '$.processed_at', '$.created_at']) as heard,
                as_list(payload -> '$.refund_line_items') as items
            from {{ ref("landing_refunds") }}
            where system = 'shopify' and stream = 'refunds'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.id', '$.line_item_id', '$.line_item.sku', '$.line_item', '$.quantity', '$.restock_type', '$.subtotal', '$.total_tax']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told(coalesce(noted_refund((heard[2] ->> '$')), 'SHOP-' || ((heard[1] ->> '$')))) as refund_number,
        told((item_heard[1] ->> '$')) as line_id,
        told((item_heard[2] ->> '$')) as order_line_told,
        told((item_heard[3] ->> '$')) as sku_told,
        told((item_heard[5] ->> '$')) as quantity_told,
        case told((item_heard[6] ->> '$')) when 'cancel' then 'cancelled' when 'return' then 'returned' when 'no_restock' then 'kept' when 'legacy_restock' then 'restocked' else told((item_heard[6] ->> '$')) end as restock_told,
        told((item_heard[7] ->> '$')) as subtotal_told,
        told((item_heard[8] ->> '$')) as tax_told,
        struct_pack(
            order_line := item_heard[2] is not null,
            sku := item_heard[3] is not null or item_heard[4] = 'null',
            quantity := item_heard[5] is not null,
            restock := item_heard[6] is not null,
            subtotal := item_heard[7] is not null,
            tax := item_heard[8] is not null
        ) as said
    from lines
),
shopify_refunds_read as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.note', '$.id', '$.updatedAt']) as heard,
                as_list(payload -> '$.refundLineItems') as items
            from {{ ref("landing_refunds") }}
            where system = 'shopify' and stream = 'refunds_read'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.id', '$.lineItem.id', '$.lineItem', '$.lineItem.sku', '$.quantity', '$.restockType', '$.subtotalSet.shopMoney.amount', '$.subtotalSet', '$.totalTaxSet.shopMoney.amount', '$.totalTaxSet']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told(coalesce(noted_refund((heard[1] ->> '$')), 'SHOP-' || regexp_extract((heard[2] ->> '$'), '\d+$'))) as refund_number,
        told(regexp_extract((item_heard[1] ->> '$'), '\d+$')) as line_id,
        told(regexp_extract((item_heard[2] ->> '$'), '\d+$')) as order_line_told,
        told((item_heard[4] ->> '$')) as sku_told,
        told((item_heard[5] ->> '$')) as quantity_told,
        case told((item_heard[6] ->> '$')) when 'CANCEL' then 'cancelled' when 'RETURN' then 'returned' when 'NO_RESTOCK' then 'kept' when 'LEGACY_RESTOCK' then 'restocked' else told((item_heard[6] ->> '$')) end as restock_told,
        told((item_heard[7] ->> '$')) as subtotal_told,
        told((item_heard[9] ->> '$')) as tax_told,
        struct_pack(
            order_line := item_heard[2] is not null or item_heard[3] = 'null',
            sku := item_heard[4] is not null or item_heard[3] = 'null',
            quantity := item_heard[5] is not null,
            restock := item_heard[6] is not null,
            subtotal := item_heard[7] is not null or item_heard[8] = 'null',
            tax := item_heard[9] is not null or item_heard[10] = 'null'
        ) as said
    from lines
),

messages as (
    select * from shopify_refunds union all by name
    select * from shopify_refunds_read
),

cast_to_type as (
    select
        *,
        order_line_told as order_line,
        sku_told as sku,
        as_whole(quantity_told) as quantity,
        restock_told as restock,
        as_decimal(subtotal_told) as subtotal,
        as_decimal(tax_told) as tax
    from messages
),

judged as (
    select
        *,
        struct_pack(
            order_line := case
                when system not in ('shopify') or not said.order_line then null
                when order_line is null then 'is missing'
            end,
            sku := cast(null as varchar),
            quantity := case
                when system not in ('shopify') or not said.quantity then null
                when quantity_told is not null and quantity is null then '«' || quantity_told || '» is not a whole quantity'
                when quantity is null then 'is missing'
                when not (quantity > 0) then '«' || coalesce(quantity_told, 'nothing') || '» breaks the rule ' || 'quantity > 0'
            end,
            restock := case
                when system not in ('shopify') or not said.restock then null
                when restock_told is not null and restock not in ('cancelled', 'returned', 'kept', 'restocked') then '«' || restock_told || '» is no status that the map knows'
                when restock is null then 'is missing'
            end,
            subtotal := case
                when system not in ('shopify') or not said.subtotal then null
                when subtotal_told is not null and subtotal is null then '«' || subtotal_told || '» is not a price with at most 10 decimals'
            end,
            tax := case
                when system not in ('shopify') or not said.tax then null
                when tax_told is not null and tax is null then '«' || tax_told || '» is not a price with at most 10 decimals'
            end
        ) as broken,
        list_filter([
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)

select
    inbox_id, system, stream, received_at,
    position,
    refund_number,
    line_id,
    order_line,
    sku,
    quantity,
    restock,
    subtotal,
    tax,
    said, broken, warnings,
    list_filter([
        if(line_id is null, 'line_id is missing', null),
        'order_line ' || broken.order_line,
        'sku ' || broken.sku,
        'quantity ' || broken.quantity,
        'restock ' || broken.restock,
        'subtotal ' || broken.subtotal,
        'tax ' || broken.tax
    ], lambda reason: reason is not null) as reasons
from judged

-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of a message about return_lines, in our words, cast and judged.
{{ config(tags=["sync_returns"]) }}

with
shopify_returns as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.triggered_at']) as heard,
                as_list(payload -> '$.return_line_items') as items
            from {{ ref("landing_returns") }}
            where system = 'shopify' and stream = 'returns'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.id', '$.fulfillment_line_item.line_item.id', '$.fulfillment_line_item', '$.fulfillment_line_item.line_item.sku', '$.quantity', '$.return_reason']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told('SHOP-R' || ((heard[1] ->> '$'))) as return_number,
        told((item_heard[1] ->> '$')) as line_id,
        told((item_heard[2] ->> '$')) as order_line_told,
        told((item_heard[4] ->> '$')) as sku_told,
        told((item_heard[5] ->> '$')) as quantity_told,
        told(lower((item_heard[6] ->> '$'))) as reason_told,
        struct_pack(
            order_line := item_heard[2] is not null or item_heard[3] = 'null',
            sku := item_heard[4] is not null or item_heard[3] = 'null',
            quantity := item_heard[5] is not null,
            reason := item_heard[6] is not null
        ) as said
    from lines
),
shopify_returns_read as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.updatedAt']) as heard,
                as_list(payload -> '$.returnLineItems') as items
            from {{ ref("landing_returns") }}
            where system = 'shopify' and stream = 'returns_read'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.id', '$.fulfillmentLineItem.lineItem.id', '$.fulfillmentLineItem', '$.fulfillmentLineItem.lineItem.sku', '$.quantity', '$.returnReason']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told('SHOP-R' || regexp_extract((heard[1] ->> '$'), '\d+$')) as return_number,
        told(regexp_extract((item_heard[1] ->> '$'), '\d+$')) as line_id,
        told(regexp_extract((item_heard[2] ->> '$'), '\d+$')) as order_line_told,
        told((item_heard[4] ->> '$')) as sku_told,
        told((item_heard[5] ->> '$')) as quantity_told,
        told(lower((item_heard[6] ->> '$'))) as reason_told,
        struct_pack(
            order_line := item_heard[2] is not null or item_heard[3] = 'null',
            sku := item_heard[4] is not null or item_heard[3] = 'null',
            quantity := item_heard[5] is not null,
            reason := item_heard[6] is not null
        ) as said
    from lines
),

messages as (
    select * from shopify_returns union all by name
    select * from shopify_returns_read
),

cast_to_type as (
    select
        *,
        order_line_told as order_line,
        sku_told as sku,
        as_whole(quantity_told) as quantity,
        reason_told as reason
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
            reason := cast(null as varchar)
        ) as broken,
        list_filter([
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)

select
    inbox_id, system, stream, received_at,
    position,
    return_number,
    line_id,
    order_line,
    sku,
    quantity,
    reason,
    said, broken, warnings,
    list_filter([
        if(line_id is null, 'line_id is missing', null),
        'order_line ' || broken.order_line,
        'sku ' || broken.sku,
        'quantity ' || broken.quantity,
        'reason ' || broken.reason
    ], lambda reason: reason is not null) as reasons
from judged

-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of a message about receipt_lines, in our words, cast and judged.
{{ config(tags=["sync_receipts"]) }}

with
tryton_returned_shipments as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.id', '$.number', '$.write_date']) as heard,
                as_list(payload -> '$.lines') as items
            from {{ ref("landing_receipts") }}
            where system = 'tryton' and stream = 'returned_shipments'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.sku', '$.quantity', '$.restocked']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told('MAIN-' || ((heard[2] ->> '$'))) as receipt_number,
        told((item_heard[1] ->> '$')) || '#' || row_number() over (partition by inbox_id, (item_heard[1] ->> '$') order by position) as line_id,
        told((item_heard[1] ->> '$')) as sku_told,
        told((item_heard[2] ->> '$')) as quantity_told,
        told((item_heard[3] ->> '$')) as restocked_told,
        struct_pack(
            sku := item_heard[1] is not null,
            quantity := item_heard[2] is not null,
            restocked := item_heard[3] is not null
        ) as said
    from lines
),
warehouse_returns as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.Eingang']) as heard,
                as_list(payload -> '$.rows') as items
            from {{ ref("landing_receipts") }}
            where system = 'warehouse' and stream = 'returns'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.Artikel', '$.Menge', '$.Zustand']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'Europe/Berlin' as zone,
        position,
        told('3PL-' || ((heard[1] ->> '$'))) as receipt_number,
        told((item_heard[1] ->> '$')) || '#' || row_number() over (partition by inbox_id, (item_heard[1] ->> '$') order by position) as line_id,
        told((item_heard[1] ->> '$')) as sku_told,
        told((item_heard[2] ->> '$')) as quantity_told,
        told(if((item_heard[3] ->> '$') = 'A', (item_heard[2] ->> '$'), '0')) as restocked_told,
        struct_pack(
            sku := item_heard[1] is not null,
            quantity := item_heard[2] is not null,
            restocked := item_heard[3] is not null or item_heard[2] is not null
        ) as said
    from lines
),

messages as (
    select * from tryton_returned_shipments union all by name
    select * from warehouse_returns
),

cast_to_type as (
    select
        *,
        sku_told as sku,
        as_whole(quantity_told) as quantity,
        as_whole(restocked_told) as restocked
    from messages
),

judged as (
    select
        *,
        struct_pack(
            sku := case
                when system not in ('warehouse', 'tryton') or not said.sku then null
                when sku is null then 'is missing'
            end,
            quantity := case
                when system not in ('warehouse', 'tryton') or not said.quantity then null
                when quantity_told is not null and quantity is null then '«' || quantity_told || '» is not a whole quantity'
                when quantity is null then 'is missing'
                when not (quantity > 0) then '«' || coalesce(quantity_told, 'nothing') || '» breaks the rule ' || 'quantity > 0'
            end,
            restocked := case
                when system not in ('warehouse', 'tryton') or not said.restocked then null
                when restocked_told is not null and restocked is null then '«' || restocked_told || '» is not a whole quantity'
                when restocked is null then 'is missing'
                when not (restocked between 0 and quantity) then '«' || coalesce(restocked_told, 'nothing') || '» breaks the rule ' || 'restocked between 0 and quantity'
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
    receipt_number,
    line_id,
    sku,
    quantity,
    restocked,
    said, broken, warnings,
    list_filter([
        if(line_id is null, 'line_id is missing', null),
        'sku ' || broken.sku,
        'quantity ' || broken.quantity,
        'restocked ' || broken.restocked
    ], lambda reason: reason is not null) as reasons
from judged

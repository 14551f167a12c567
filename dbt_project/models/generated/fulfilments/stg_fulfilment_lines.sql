-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of a message about fulfilment_lines, in our words, cast and judged.
{{ config(tags=["sync_fulfilments"]) }}

with
tryton_shipments as (
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
            from {{ ref("landing_fulfilments") }}
            where system = 'tryton' and stream = 'shipments'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.sku', '$.quantity']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        position,
        told('MAIN-' || ((heard[2] ->> '$'))) as fulfilment_number,
        told((item_heard[1] ->> '$')) || '#' || row_number() over (partition by inbox_id, (item_heard[1] ->> '$') order by position) as line_id,
        told((item_heard[1] ->> '$')) as sku_told,
        told((item_heard[2] ->> '$')) as quantity_told,
        struct_pack(
            sku := item_heard[1] is not null,
            quantity := item_heard[2] is not null
        ) as said
    from lines
),
warehouse_despatches as (
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, ['$.parcel', '$.noted', '$.at']) as heard,
                as_list(payload -> '$.lines') as items
            from {{ ref("landing_fulfilments") }}
            where system = 'warehouse' and stream = 'despatches'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, ['$.sku', '$.quantity']) as item_heard
        from items
    )
    select
        inbox_id, system, stream, received_at, 'Europe/Berlin' as zone,
        position,
        told('3PL-' || ((heard[1] ->> '$'))) as fulfilment_number,
        told((item_heard[1] ->> '$')) || '#' || row_number() over (partition by inbox_id, (item_heard[1] ->> '$') order by position) as line_id,
        told((item_heard[1] ->> '$')) as sku_told,
        told((item_heard[2] ->> '$')) as quantity_told,
        struct_pack(
            sku := item_heard[1] is not null,
            quantity := item_heard[2] is not null
        ) as said
    from lines
),

messages as (
    select * from tryton_shipments union all by name
    select * from warehouse_despatches
),

cast_to_type as (
    select
        *,
        sku_told as sku,
        as_whole(quantity_told) as quantity
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
    fulfilment_number,
    line_id,
    sku,
    quantity,
    said, broken, warnings,
    list_filter([
        if(line_id is null, 'line_id is missing', null),
        'sku ' || broken.sku,
        'quantity ' || broken.quantity
    ], lambda reason: reason is not null) as reasons
from judged

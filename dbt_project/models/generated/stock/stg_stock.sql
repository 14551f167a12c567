-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about stock, in our words, cast and judged.
{{ config(tags=["sync_stock"]) }}

with
tryton_stock as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(remote_id) as remote_id,
        told((heard[1] ->> '$')) as sku,
        told((heard[2] ->> '$')) as location,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[4] ->> '$')) as on_hand_told,
        told((heard[3] ->> '$')) as counted_at_told,
        struct_pack(
            on_hand := heard[4] is not null,
            counted_at := heard[3] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.sku', '$.location', '$.as_of', '$.quantity']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_stock") }}
        where system = 'tryton' and stream = 'stock'
    )
),
warehouse_stock_counts as (
    select
        inbox_id, system, stream, received_at, 'Europe/Berlin' as zone,
        arrived_by, file_name, row_number, 0 as tie,
        told(((heard[1] ->> '$')) || '@3PL') as remote_id,
        told((heard[1] ->> '$')) as sku,
        told('3PL') as location,
        told(as_of) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[2] ->> '$')) as on_hand_told,
        told(as_of) as counted_at_told,
        struct_pack(
            on_hand := heard[2] is not null,
            counted_at := true
        ) as said
    from (
        select
            *, json_extract(payload, ['$.Artikel', '$.Bestand']) as heard,
            strftime(strptime(regexp_extract(file_name, '\d{8}T\d{4}'), '%Y%m%dT%H%M'), '%Y-%m-%d %H:%M:%S') as as_of
        from {{ ref("landing_stock") }}
        where system = 'warehouse' and stream = 'stock_counts'
    )
),

messages as (
    select * from tryton_stock union all by name
    select * from warehouse_stock_counts
),

cast_to_type as (
    select
        *,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        as_whole(on_hand_told) as on_hand,
        as_instant(counted_at_told, zone) as counted_at
    from messages
),

judged as (
    select
        *,
        struct_pack(
            on_hand := case
                when system not in ('tryton', 'warehouse') or not said.on_hand then null
                when on_hand_told is not null and on_hand is null then '«' || on_hand_told || '» is not a whole quantity'
                when on_hand is null then 'is missing'
            end,
            counted_at := case
                when system not in ('tryton', 'warehouse') or not said.counted_at then null
                when counted_at_told is not null and counted_at is null then '«' || counted_at_told || '» is not a time'
                when counted_at is null then 'is missing'
            end
        ) as broken,
        list_filter([
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
rejections as (
    select
        judged.*,
        list_filter([
            if(sku is null, 'sku is missing', null),
            if(location is null, 'location is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            null
        ], lambda reason: reason is not null)
            as rejections
    from judged
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    sku,
    location,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    on_hand,
    counted_at,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'on_hand ' || broken.on_hand,
        'counted_at ' || broken.counted_at
    ], lambda reason: reason is not null) as reasons
from rejections

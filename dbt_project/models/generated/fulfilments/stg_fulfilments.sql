-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about fulfilments, in our words, cast and judged.
{{ config(tags=["sync_fulfilments"]) }}

with
parcelhub_tracking as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('TRACKING-' || ((heard[1] ->> '$'))) as fulfilment_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        cast(null as varchar) as order_number_told,
        cast(null as varchar) as location_told,
        case told(lower((heard[3] ->> '$'))) when 'pending' then 'labelled' when 'pre_transit' then 'labelled' when 'picked_up' then 'in_transit' when 'in_transit' then 'in_transit' when 'out_for_delivery' then 'out_for_delivery' when 'ready_for_pickup' then 'out_for_delivery' when 'available_for_pickup' then 'out_for_delivery' when 'on_hold' then 'exception' when 'delivery_delayed' then 'exception' when 'delivery_failed' then 'exception' when 'failure' then 'exception' when 'delivered' then 'delivered' when 'return_to_sender' then 'returned' else told(lower((heard[3] ->> '$'))) end as status_told,
        told((heard[1] ->> '$')) as tracking_number_told,
        cast(null as varchar) as carrier_told,
        cast(null as varchar) as shipped_at_told,
        told(if(lower((heard[3] ->> '$')) = 'delivered', (heard[2] ->> '$'), null)) as delivered_at_told,
        struct_pack(
            order_number := false,
            location := false,
            status := heard[3] is not null,
            tracking_number := heard[1] is not null,
            carrier := false,
            shipped_at := false,
            delivered_at := heard[3] is not null or heard[2] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.tracking_number', '$.occurred_at', '$.status']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_fulfilments") }}
        where system = 'parcelhub' and stream = 'tracking'
    )
),
tryton_shipments as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('MAIN-' || ((heard[2] ->> '$'))) as fulfilment_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[4] ->> '$')) as order_number_told,
        told('MAIN') as location_told,
        told('dispatched') as status_told,
        told((heard[5] ->> '$')) as tracking_number_told,
        told((heard[6] ->> '$')) as carrier_told,
        told((heard[7] ->> '$')) as shipped_at_told,
        cast(null as varchar) as delivered_at_told,
        struct_pack(
            order_number := heard[4] is not null,
            location := true,
            status := true,
            tracking_number := heard[5] is not null,
            carrier := heard[6] is not null,
            shipped_at := heard[7] is not null,
            delivered_at := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.number', '$.write_date', '$.order_number', '$.reference', '$.carrier', '$.shipped_at']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_fulfilments") }}
        where system = 'tryton' and stream = 'shipments'
    )
),
warehouse_despatches as (
    select
        inbox_id, system, stream, received_at, 'Europe/Berlin' as zone,
        arrived_by, file_name, row_number, 0 as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('3PL-' || ((heard[1] ->> '$'))) as fulfilment_number,
        told(coalesce((heard[2] ->> '$'), (heard[3] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[4] ->> '$')) as order_number_told,
        told('3PL') as location_told,
        case told(coalesce((heard[5] ->> '$'), if((heard[3] ->> '$') is not null, 'sent', null))) when 'labelled' then 'labelled' when 'sent' then 'dispatched' when 'damaged' then 'exception' else told(coalesce((heard[5] ->> '$'), if((heard[3] ->> '$') is not null, 'sent', null))) end as status_told,
        told((heard[6] ->> '$')) as tracking_number_told,
        told((heard[7] ->> '$')) as carrier_told,
        told((heard[3] ->> '$')) as shipped_at_told,
        cast(null as varchar) as delivered_at_told,
        struct_pack(
            order_number := heard[4] is not null,
            location := true,
            status := heard[5] is not null or heard[3] is not null,
            tracking_number := heard[6] is not null,
            carrier := heard[7] is not null,
            shipped_at := heard[3] is not null,
            delivered_at := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.parcel', '$.noted', '$.at', '$.order', '$.status', '$.tracking', '$.carrier']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_fulfilments") }}
        where system = 'warehouse' and stream = 'despatches'
    )
),

messages as (
    select * from parcelhub_tracking union all by name
    select * from tryton_shipments union all by name
    select * from warehouse_despatches
),

cast_to_type as (
    select
        *,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        order_number_told as order_number,
        location_told as location,
        status_told as status,
        tracking_number_told as tracking_number,
        carrier_told as carrier,
        as_instant(shipped_at_told, zone) as shipped_at,
        as_instant(delivered_at_told, zone) as delivered_at
    from messages
),

judged as (
    select
        *,
        struct_pack(
            order_number := case
                when system not in ('warehouse', 'tryton') or not said.order_number then null
                when order_number is null then 'is missing'
            end,
            location := case
                when system not in ('warehouse', 'tryton') or not said.location then null
                when location is null then 'is missing'
            end,
            status := case
                when system not in ('warehouse', 'tryton', 'parcelhub') or not said.status then null
                when status_told is not null and status not in ('labelled', 'dispatched', 'in_transit', 'out_for_delivery', 'exception', 'delivered', 'returned') then '«' || status_told || '» is no status that the map knows'
                when status is null then 'is missing'
            end,
            tracking_number := cast(null as varchar),
            carrier := cast(null as varchar),
            shipped_at := case
                when system not in ('warehouse', 'tryton') or not said.shipped_at then null
                when shipped_at_told is not null and shipped_at is null then '«' || shipped_at_told || '» is not a time'
                when not (shipped_at is not null or status = 'labelled') then '«' || coalesce(shipped_at_told, 'nothing') || '» breaks the rule ' || 'shipped_at is not null or status = ''labelled'''
            end,
            delivered_at := case
                when system not in ('parcelhub') or not said.delivered_at then null
                when delivered_at_told is not null and delivered_at is null then '«' || delivered_at_told || '» is not a time'
            end
        ) as broken,
        list_filter([
            if(system in ('warehouse', 'tryton') and said.tracking_number and tracking_number_told is not null and not coalesce(not (not is_tracking_number(tracking_number, carrier)), true), 'tracking_number: «' || tracking_number_told || '» has a wrong check digit', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
bad_fulfilment_lines as (
    select
        inbox_id,
        list('line ' || position || coalesce(' (' || sku || ')', '') || ' ' || reason order by position, reason) as reasons
    from (
        select inbox_id, position, sku, unnest(reasons) as reason
        from {{ ref("stg_fulfilment_lines") }}
        where len(reasons) > 0
    )
    group by inbox_id
)
,
rejections as (
    select
        judged.*,
        list_filter([
            if(fulfilment_number is null, 'fulfilment_number is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            null
        ], lambda reason: reason is not null)
            || coalesce(bad_fulfilment_lines.reasons, [])
            as rejections
    from judged
    left join bad_fulfilment_lines using (inbox_id)
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    fulfilment_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    order_number,
    location,
    status,
    tracking_number,
    carrier,
    shipped_at,
    delivered_at,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'order_number ' || broken.order_number,
        'location ' || broken.location,
        'status ' || broken.status,
        'tracking_number ' || broken.tracking_number,
        'carrier ' || broken.carrier,
        'shipped_at ' || broken.shipped_at,
        'delivered_at ' || broken.delivered_at
    ], lambda reason: reason is not null) as reasons
from rejections

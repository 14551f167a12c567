-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about receipts, in our words, cast and judged.
{{ config(tags=["sync_receipts"]) }}

with
tryton_returned_shipments as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('MAIN-' || ((heard[2] ->> '$'))) as receipt_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[4] ->> '$')) as order_number_told,
        told((heard[5] ->> '$')) as return_number_told,
        told('MAIN') as location_told,
        told((heard[6] ->> '$')) as taken_in_at_told,
        struct_pack(
            order_number := heard[4] is not null,
            return_number := heard[5] is not null,
            location := true,
            taken_in_at := heard[6] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.number', '$.write_date', '$.order_number', '$.return_number', '$.taken_in_at']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_receipts") }}
        where system = 'tryton' and stream = 'returned_shipments'
    )
),
warehouse_returns as (
    select
        inbox_id, system, stream, received_at, 'Europe/Berlin' as zone,
        arrived_by, file_name, row_number, 0 as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('3PL-' || ((heard[1] ->> '$'))) as receipt_number,
        told(as_of) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told((heard[2] ->> '$')) as order_number_told,
        told((heard[3] ->> '$')) as return_number_told,
        told('3PL') as location_told,
        told((heard[4] ->> '$')) as taken_in_at_told,
        struct_pack(
            order_number := heard[2] is not null,
            return_number := heard[3] is not null,
            location := true,
            taken_in_at := heard[4] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.Eingang', '$.rows[0].Bestellung', '$.rows[0].Retoure', '$.rows[0].Zeit']) as heard,
            strftime(strptime(regexp_extract(file_name, '\d{8}T\d{4}'), '%Y%m%dT%H%M'), '%Y-%m-%d %H:%M:%S') as as_of
        from {{ ref("landing_receipts") }}
        where system = 'warehouse' and stream = 'returns'
    )
),

messages as (
    select * from tryton_returned_shipments union all by name
    select * from warehouse_returns
),

cast_to_type as (
    select
        *,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        order_number_told as order_number,
        return_number_told as return_number,
        location_told as location,
        as_instant(taken_in_at_told, zone) as taken_in_at
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
            return_number := cast(null as varchar),
            location := case
                when system not in ('warehouse', 'tryton') or not said.location then null
                when location is null then 'is missing'
            end,
            taken_in_at := case
                when system not in ('warehouse', 'tryton') or not said.taken_in_at then null
                when taken_in_at_told is not null and taken_in_at is null then '«' || taken_in_at_told || '» is not a time'
                when taken_in_at is null then 'is missing'
            end
        ) as broken,
        list_filter([
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
bad_receipt_lines as (
    select
        inbox_id,
        list('line ' || position || coalesce(' (' || sku || ')', '') || ' ' || reason order by position, reason) as reasons
    from (
        select inbox_id, position, sku, unnest(reasons) as reason
        from {{ ref("stg_receipt_lines") }}
        where len(reasons) > 0
    )
    group by inbox_id
)
,
rejections as (
    select
        judged.*,
        list_filter([
            if(receipt_number is null, 'receipt_number is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            null
        ], lambda reason: reason is not null)
            || coalesce(bad_receipt_lines.reasons, [])
            as rejections
    from judged
    left join bad_receipt_lines using (inbox_id)
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    receipt_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    order_number,
    return_number,
    location,
    taken_in_at,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'order_number ' || broken.order_number,
        'return_number ' || broken.return_number,
        'location ' || broken.location,
        'taken_in_at ' || broken.taken_in_at
    ], lambda reason: reason is not null) as reasons
from rejections

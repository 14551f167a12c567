-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about returns, in our words, cast and judged.
{{ config(tags=["sync_returns"]) }}

with
shopify_returns as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-R' || ((heard[1] ->> '$'))) as return_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('SHOP-' || ((heard[3] ->> '$'))) as order_number_told,
        told((heard[5] ->> '$')) as name_told,
        case told((heard[6] ->> '$')) when 'requested' then 'requested' when 'open' then 'open' when 'closed' then 'closed' when 'declined' then 'declined' when 'canceled' then 'cancelled' else told((heard[6] ->> '$')) end as status_told,
        told(coalesce(sum_in(heard[7], '$.quantity'), '0')) as exchanged_told,
        told((heard[8] ->> '$')) as opened_at_told,
        told((heard[9] ->> '$')) as closed_at_told,
        struct_pack(
            order_number := heard[3] is not null or heard[4] = 'null',
            name := heard[5] is not null,
            status := heard[6] is not null,
            exchanged := heard[7] is not null,
            opened_at := heard[8] is not null,
            closed_at := heard[9] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.triggered_at', '$.order.id', '$.order', '$.name', '$.status', '$.exchange_line_items', '$.created_at', '$.closed_at']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_returns") }}
        where system = 'shopify' and stream = 'returns'
    )
),
shopify_returns_read as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(remote_id) as remote_id,
        told('SHOP-R' || regexp_extract((heard[1] ->> '$'), '\d+$')) as return_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('SHOP-' || regexp_extract((heard[3] ->> '$'), '\d+$')) as order_number_told,
        told((heard[4] ->> '$')) as name_told,
        case told((heard[5] ->> '$')) when 'REQUESTED' then 'requested' when 'OPEN' then 'open' when 'CLOSED' then 'closed' when 'DECLINED' then 'declined' when 'CANCELED' then 'cancelled' else told((heard[5] ->> '$')) end as status_told,
        told(coalesce(sum_in(heard[6], '$.quantity'), '0')) as exchanged_told,
        told((heard[7] ->> '$')) as opened_at_told,
        told((heard[8] ->> '$')) as closed_at_told,
        struct_pack(
            order_number := heard[3] is not null,
            name := heard[4] is not null,
            status := heard[5] is not null,
            exchanged := heard[6] is not null,
            opened_at := heard[7] is not null,
            closed_at := heard[8] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.updatedAt', '$.orderId', '$.name', '$.status', '$.exchangeLineItems', '$.createdAt', '$.closedAt']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_returns") }}
        where system = 'shopify' and stream = 'returns_read'
    )
),

messages as (
    select * from shopify_returns union all by name
    select * from shopify_returns_read
),

cast_to_type as (
    select
        *,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        order_number_told as order_number,
        name_told as name,
        status_told as status,
        as_whole(exchanged_told) as exchanged,
        as_instant(opened_at_told, zone) as opened_at,
        as_instant(closed_at_told, zone) as closed_at
    from messages
),

judged as (
    select
        *,
        struct_pack(
            order_number := case
                when system not in ('shopify') or not said.order_number then null
                when order_number is null then 'is missing'
            end,
            name := cast(null as varchar),
            status := case
                when system not in ('shopify') or not said.status then null
                when status_told is not null and status not in ('requested', 'open', 'closed', 'declined', 'cancelled') then '«' || status_told || '» is no status that the map knows'
                when status is null then 'is missing'
            end,
            exchanged := case
                when system not in ('shopify') or not said.exchanged then null
                when exchanged_told is not null and exchanged is null then '«' || exchanged_told || '» is not a whole quantity'
                when not (exchanged >= 0) then '«' || coalesce(exchanged_told, 'nothing') || '» breaks the rule ' || 'exchanged >= 0'
            end,
            opened_at := case
                when system not in ('shopify') or not said.opened_at then null
                when opened_at_told is not null and opened_at is null then '«' || opened_at_told || '» is not a time'
            end,
            closed_at := case
                when system not in ('shopify') or not said.closed_at then null
                when closed_at_told is not null and closed_at is null then '«' || closed_at_told || '» is not a time'
            end
        ) as broken,
        list_filter([
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
bad_return_lines as (
    select
        inbox_id,
        list('line ' || position || coalesce(' (' || sku || ')', '') || ' ' || reason order by position, reason) as reasons
    from (
        select inbox_id, position, sku, unnest(reasons) as reason
        from {{ ref("stg_return_lines") }}
        where len(reasons) > 0
        union all
        select inbox_id, max(position), arg_max(sku, position), 'has the id of another line: ' || line_id
        from {{ ref("stg_return_lines") }}
        where line_id is not null
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
            if(return_number is null, 'return_number is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            null
        ], lambda reason: reason is not null)
            || coalesce(bad_return_lines.reasons, [])
            as rejections
    from judged
    left join bad_return_lines using (inbox_id)
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    return_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    order_number,
    name,
    status,
    exchanged,
    opened_at,
    closed_at,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'order_number ' || broken.order_number,
        'name ' || broken.name,
        'status ' || broken.status,
        'exchanged ' || broken.exchanged,
        'opened_at ' || broken.opened_at,
        'closed_at ' || broken.closed_at
    ], lambda reason: reason is not null) as reasons
from rejections

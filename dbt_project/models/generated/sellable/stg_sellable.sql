-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about sellable, in our words, cast and judged.
{{ config(tags=["sync_sellable"]) }}

with
shopify_inventory as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(remote_id) as remote_id,
        told((heard[1] ->> '$')) as sku,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[3] ->> '$')) as sellable_told,
        told((heard[4] ->> '$')) as reserved_told,
        struct_pack(
            sellable := heard[3] is not null,
            reserved := heard[4] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.sku', '$.updatedAt', '$.available', '$.reserved']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_sellable") }}
        where system = 'shopify' and stream = 'inventory'
    )
),

messages as (
    select * from shopify_inventory
),

cast_to_type as (
    select
        *,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        as_whole(sellable_told) as sellable,
        as_whole(reserved_told) as reserved
    from messages
),

judged as (
    select
        *,
        struct_pack(
            sellable := cast(null as varchar),
            reserved := case
                when system not in ('shopify') or not said.reserved then null
                when reserved_told is not null and reserved is null then '«' || reserved_told || '» is not a whole quantity'
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
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    sellable,
    reserved,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'sellable ' || broken.sellable,
        'reserved ' || broken.reserved
    ], lambda reason: reason is not null) as reasons
from rejections

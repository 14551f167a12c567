-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about products, in our words, cast and judged.
{{ config(tags=["sync_products"]) }}

with
shopify_variants as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(remote_id) as remote_id,
        told((heard[1] ->> '$')) as sku,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        cast(null as varchar) as title_told,
        told((heard[3] ->> '$')) as storefront_title_told,
        cast(null as varchar) as list_price_told,
        cast(null as varchar) as currency_told,
        cast(null as varchar) as is_service_told,
        cast(null as varchar) as is_salable_told,
        cast(null as varchar) as is_active_told,
        told(list_contains(cast(heard[5] as varchar[]), 'dropship')) as is_dropshipped_told,
        struct_pack(
            title := false,
            storefront_title := heard[3] is not null or heard[4] = 'null',
            list_price := false,
            currency := false,
            is_service := false,
            is_salable := false,
            is_active := false,
            is_dropshipped := heard[5] is not null or heard[4] = 'null'
        ) as said
    from (
        select
            *, json_extract(payload, ['$.sku', '$.updatedAt', '$.product.title', '$.product', '$.product.tags']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_products") }}
        where system = 'shopify' and stream = 'variants'
    )
),
tryton_products as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told((heard[2] ->> '$')) as sku,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[4] ->> '$')) as title_told,
        cast(null as varchar) as storefront_title_told,
        told((heard[5] ->> '$')) as list_price_told,
        told('EUR') as currency_told,
        told((heard[6] ->> '$') = 'service') as is_service_told,
        told((heard[7] ->> '$')) as is_salable_told,
        told((heard[8] ->> '$')) as is_active_told,
        cast(null as varchar) as is_dropshipped_told,
        struct_pack(
            title := heard[4] is not null,
            storefront_title := false,
            list_price := heard[5] is not null,
            currency := true,
            is_service := heard[6] is not null,
            is_salable := heard[7] is not null,
            is_active := heard[8] is not null,
            is_dropshipped := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.code', '$.write_date', '$.name', '$.list_price', '$.type', '$.salable', '$.active']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_products") }}
        where system = 'tryton' and stream = 'products'
    )
),

messages as (
    select * from shopify_variants union all by name
    select * from tryton_products
),

cast_to_type as (
    select
        *,
        minor_units(upper(currency_told)) as currency_units,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        title_told as title,
        storefront_title_told as storefront_title,
        as_decimal(list_price_told) as list_price,
        upper(currency_told) as currency,
        as_boolean(is_service_told) as is_service,
        as_boolean(is_salable_told) as is_salable,
        as_boolean(is_active_told) as is_active,
        as_boolean(is_dropshipped_told) as is_dropshipped
    from messages
),

judged as (
    select
        *,
        struct_pack(
            title := case
                when system not in ('tryton') or not said.title then null
                when title is null then 'is missing'
            end,
            storefront_title := cast(null as varchar),
            list_price := case
                when system not in ('tryton') or not said.list_price then null
                when list_price_told is not null and list_price is null then '«' || list_price_told || '» is not a price with at most 10 decimals'
            end,
            currency := case
                when system not in ('tryton') or not said.currency then null
                when currency_told is not null and currency_units is null then '«' || currency_told || '» is no ISO 4217 currency'
            end,
            is_service := case
                when system not in ('tryton') or not said.is_service then null
                when is_service_told is not null and is_service is null then '«' || is_service_told || '» is neither true nor false'
            end,
            is_salable := case
                when system not in ('tryton') or not said.is_salable then null
                when is_salable_told is not null and is_salable is null then '«' || is_salable_told || '» is neither true nor false'
            end,
            is_active := case
                when system not in ('tryton') or not said.is_active then null
                when is_active_told is not null and is_active is null then '«' || is_active_told || '» is neither true nor false'
            end,
            is_dropshipped := case
                when system not in ('shopify') or not said.is_dropshipped then null
                when is_dropshipped_told is not null and is_dropshipped is null then '«' || is_dropshipped_told || '» is neither true nor false'
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
            'currency ' || broken.currency,
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
    title,
    storefront_title,
    list_price,
    currency,
    is_service,
    is_salable,
    is_active,
    is_dropshipped,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'title ' || broken.title,
        'storefront_title ' || broken.storefront_title,
        'list_price ' || broken.list_price,
        'is_service ' || broken.is_service,
        'is_salable ' || broken.is_salable,
        'is_active ' || broken.is_active,
        'is_dropshipped ' || broken.is_dropshipped
    ], lambda reason: reason is not null) as reasons
from rejections

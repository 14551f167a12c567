-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about selling_prices, in our words, cast and judged.
{{ config(tags=["sync_selling_prices"]) }}

with
shopify_variants as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told('BASE/' || ((heard[1] ->> '$'))) as remote_id,
        told('BASE/' || ((heard[2] ->> '$'))) as place,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        cast(null as varchar) as price_list_told,
        cast(null as varchar) as sku_told,
        cast(null as varchar) as from_quantity_told,
        told((heard[4] ->> '$')) as amount_told,
        told((heard[5] ->> '$')) as currency_told,
        cast(null as varchar) as includes_tax_told,
        cast(null as varchar) as countries_told,
        cast(null as varchar) as is_valid_told,
        cast(null as varchar) as turns_at_told,
        struct_pack(
            price_list := false,
            sku := false,
            from_quantity := false,
            amount := heard[4] is not null,
            currency := heard[5] is not null,
            includes_tax := false,
            countries := false,
            is_valid := false,
            turns_at := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.sku', '$.updatedAt', '$.price', '$.currency']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_selling_prices") }}
        where system = 'shopify' and stream = 'variants'
    )
),
shopify_price_lists as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told(place_of((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'))) as place,
        told(received_at) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        cast(null as varchar) as price_list_told,
        cast(null as varchar) as sku_told,
        cast(null as varchar) as from_quantity_told,
        told((heard[5] ->> '$')) as amount_told,
        told((heard[7] ->> '$')) as currency_told,
        cast(null as varchar) as includes_tax_told,
        cast(null as varchar) as countries_told,
        cast(null as varchar) as is_valid_told,
        cast(null as varchar) as turns_at_told,
        struct_pack(
            price_list := false,
            sku := false,
            from_quantity := false,
            amount := heard[5] is not null or heard[6] = 'null',
            currency := heard[7] is not null or heard[6] = 'null',
            includes_tax := false,
            countries := false,
            is_valid := false,
            turns_at := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.list', '$.sku', '$.quantity', '$.price.amount', '$.price', '$.price.currencyCode']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_selling_prices") }}
        where system = 'shopify' and stream = 'price_lists'
    )
),

messages as (
    select * from shopify_variants union all by name
    select * from shopify_price_lists
),

cast_to_type as (
    select
        *,
        minor_units(upper(currency_told)) as currency_units,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        price_list_told as price_list,
        sku_told as sku,
        as_whole(from_quantity_told) as from_quantity,
        as_decimal(amount_told) as amount,
        upper(currency_told) as currency,
        as_boolean(includes_tax_told) as includes_tax,
        countries_told as countries,
        as_boolean(is_valid_told) as is_valid,
        as_instant(turns_at_told, zone) as turns_at
    from messages
),

judged as (
    select
        *,
        struct_pack(
            price_list := cast(null as varchar),
            sku := cast(null as varchar),
            from_quantity := cast(null as varchar),
            amount := cast(null as varchar),
            currency := cast(null as varchar),
            includes_tax := cast(null as varchar),
            countries := cast(null as varchar),
            is_valid := cast(null as varchar),
            turns_at := cast(null as varchar)
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
            if(place is null, 'place is missing', null),
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
    place,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    price_list,
    sku,
    from_quantity,
    amount,
    currency,
    includes_tax,
    countries,
    is_valid,
    turns_at,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'price_list ' || broken.price_list,
        'sku ' || broken.sku,
        'from_quantity ' || broken.from_quantity,
        'amount ' || broken.amount,
        'includes_tax ' || broken.includes_tax,
        'countries ' || broken.countries,
        'is_valid ' || broken.is_valid,
        'turns_at ' || broken.turns_at
    ], lambda reason: reason is not null) as reasons
from rejections

-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about prices, in our words, cast and judged.
{{ config(tags=["sync_prices"]) }}

with
tryton_products as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told('BASE/' || ((heard[1] ->> '$'))) as remote_id,
        told('ERP-BASE/' || ((heard[2] ->> '$'))) as price_number,
        told((heard[4] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told('BASE') as price_list_told,
        told((heard[2] ->> '$')) as sku_told,
        told('1') as from_quantity_told,
        told((heard[5] ->> '$')) as amount_told,
        told('EUR') as currency_told,
        told('false') as includes_tax_told,
        cast(null as varchar) as account_told,
        cast(null as varchar) as valid_from_told,
        cast(null as varchar) as valid_to_told,
        struct_pack(
            price_list := true,
            sku := heard[2] is not null,
            from_quantity := true,
            amount := heard[5] is not null,
            currency := true,
            includes_tax := true,
            account := false,
            valid_from := false,
            valid_to := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.code', '$.type', '$.write_date', '$.list_price']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_prices") }}
        where system = 'tryton' and stream = 'products'
    )
    where coalesce((heard[3] ->> '$'), 'goods') = 'goods'
),
tryton_price_lines as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('ERP-' || ((heard[1] ->> '$'))) as price_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[3] ->> '$')) as price_list_told,
        told((heard[4] ->> '$')) as sku_told,
        told((heard[5] ->> '$')) as from_quantity_told,
        told((heard[6] ->> '$')) as amount_told,
        told((heard[7] ->> '$')) as currency_told,
        told((heard[8] ->> '$')) as includes_tax_told,
        cast(null as varchar) as account_told,
        told(day_begins((heard[9] ->> '$'), 'Europe/Berlin')) as valid_from_told,
        told(if((heard[10] ->> '$') = 'false', (heard[2] ->> '$'), day_ends((heard[11] ->> '$'), 'Europe/Berlin'))) as valid_to_told,
        struct_pack(
            price_list := heard[3] is not null,
            sku := heard[4] is not null,
            from_quantity := heard[5] is not null,
            amount := heard[6] is not null,
            currency := heard[7] is not null,
            includes_tax := heard[8] is not null,
            account := false,
            valid_from := heard[9] is not null,
            valid_to := heard[10] is not null or heard[2] is not null or heard[11] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.write_date', '$.list', '$.sku', '$.quantity', '$.amount', '$.currency', '$.tax_included', '$.start_date', '$.active', '$.end_date']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_prices") }}
        where system = 'tryton' and stream = 'price_lines'
    )
),
wholesale_contract_prices as (
    select
        inbox_id, system, stream, received_at, 'Europe/London' as zone,
        arrived_by, file_name, row_number, 0 as tie,
        told(concat_ws('/', (heard[1] ->> '$'), (heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'))) as remote_id,
        told('WHOLE-' || concat_ws('/', (heard[1] ->> '$'), (heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'))) as price_number,
        told(as_of) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[1] ->> '$')) as price_list_told,
        told((heard[2] ->> '$')) as sku_told,
        told((heard[3] ->> '$')) as from_quantity_told,
        told((heard[6] ->> '$')) as amount_told,
        told((heard[7] ->> '$')) as currency_told,
        told('false') as includes_tax_told,
        told((heard[5] ->> '$')) as account_told,
        told(day_begins((heard[4] ->> '$'), 'Europe/London')) as valid_from_told,
        told(day_ends((heard[8] ->> '$'), 'Europe/London')) as valid_to_told,
        struct_pack(
            price_list := true,
            sku := true,
            from_quantity := true,
            amount := true,
            currency := true,
            includes_tax := true,
            account := true,
            valid_from := true,
            valid_to := true
        ) as said
    from (
        select
            *, json_extract(payload, ['$.Contract', '$.StockCode', '$.MinQuantity', '$.ValidFrom', '$.CustomerID', '$.UnitPrice', '$.Currency', '$.ValidTo']) as heard,
            regexp_extract(file_name, '\d{4}-\d{2}-\d{2}') || ' 00:00:00' as as_of
        from {{ ref("landing_prices") }}
        where system = 'wholesale' and stream = 'contract_prices'
    )
),

messages as (
    select * from tryton_products union all by name
    select * from tryton_price_lines union all by name
    select * from wholesale_contract_prices
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
        account_told as account,
        as_instant(valid_from_told, zone) as valid_from,
        as_instant(valid_to_told, zone) as valid_to
    from messages
),

judged as (
    select
        *,
        struct_pack(
            price_list := case
                when system not in ('tryton', 'wholesale') or not said.price_list then null
                when price_list is null then 'is missing'
            end,
            sku := case
                when system not in ('tryton', 'wholesale') or not said.sku then null
                when sku is null then 'is missing'
            end,
            from_quantity := case
                when system not in ('tryton', 'wholesale') or not said.from_quantity then null
                when from_quantity_told is not null and from_quantity is null then '«' || from_quantity_told || '» is not a whole quantity'
                when from_quantity is null then 'is missing'
                when not (from_quantity > 0) then '«' || coalesce(from_quantity_told, 'nothing') || '» breaks the rule ' || 'from_quantity > 0'
            end,
            amount := case
                when system not in ('tryton', 'wholesale') or not said.amount then null
                when amount_told is not null and amount is null then '«' || amount_told || '» is not an amount of money'
                when not fits_units(amount, currency_units) then '«' || amount_told || '» has more decimals than ' || currency
                when amount is null then 'is missing'
                when not (amount > 0) then '«' || coalesce(amount_told, 'nothing') || '» breaks the rule ' || 'amount > 0'
            end,
            currency := case
                when system not in ('tryton', 'wholesale') or not said.currency then null
                when currency_told is not null and currency_units is null then '«' || currency_told || '» is no ISO 4217 currency'
                when currency is null then 'is missing'
            end,
            includes_tax := case
                when system not in ('tryton', 'wholesale') or not said.includes_tax then null
                when includes_tax_told is not null and includes_tax is null then '«' || includes_tax_told || '» is neither true nor false'
                when includes_tax is null then 'is missing'
            end,
            account := cast(null as varchar),
            valid_from := case
                when system not in ('tryton', 'wholesale') or not said.valid_from then null
                when valid_from_told is not null and valid_from is null then '«' || valid_from_told || '» is not a time'
            end,
            valid_to := case
                when system not in ('tryton', 'wholesale') or not said.valid_to then null
                when valid_to_told is not null and valid_to is null then '«' || valid_to_told || '» is not a time'
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
            if(price_number is null, 'price_number is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            'currency ' || broken.currency,
            if(not coalesce(valid_to > valid_from, true), 'ends_after_it_begins: breaks the rule valid_to > valid_from', null),
            null
        ], lambda reason: reason is not null)
            as rejections
    from judged
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    price_number,
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
    account,
    valid_from,
    valid_to,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'price_list ' || broken.price_list,
        'sku ' || broken.sku,
        'from_quantity ' || broken.from_quantity,
        'amount ' || broken.amount,
        'includes_tax ' || broken.includes_tax,
        'account ' || broken.account,
        'valid_from ' || broken.valid_from,
        'valid_to ' || broken.valid_to
    ], lambda reason: reason is not null) as reasons
from rejections

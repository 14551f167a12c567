-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about balance_transactions, in our words, cast and judged.
{{ config(tags=["sync_balance_transactions"]) }}

with
stripe_balance_transactions as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('STRIPE-' || ((heard[1] ->> '$'))) as transaction_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[3] ->> '$')) as kind_told,
        told('STRIPE-' || ((heard[4] ->> '$'))) as payment_number_told,
        told('STRIPE-' || ((heard[6] ->> '$'))) as payout_number_told,
        told((heard[7] ->> '$')) as currency_told,
        told(stripe_amount((heard[8] ->> '$'), (heard[7] ->> '$'))) as amount_told,
        told(stripe_amount((heard[9] ->> '$'), (heard[7] ->> '$'))) as fee_told,
        told(stripe_amount((heard[10] ->> '$'), (heard[7] ->> '$'))) as net_told,
        told(of_epoch((heard[11] ->> '$'))) as moved_at_told,
        told(of_epoch((heard[12] ->> '$'))) as available_at_told,
        struct_pack(
            kind := heard[3] is not null,
            payment_number := heard[4] is not null or heard[5] = 'null',
            payout_number := heard[6] is not null,
            currency := heard[7] is not null,
            amount := heard[8] is not null or heard[7] is not null,
            fee := heard[9] is not null or heard[7] is not null,
            net := heard[10] is not null or heard[7] is not null,
            moved_at := heard[11] is not null,
            available_at := heard[12] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.as_of', '$.type', '$.source.payment_intent', '$.source', '$.payout', '$.currency', '$.amount', '$.fee', '$.net', '$.created', '$.available_on']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_balance_transactions") }}
        where system = 'stripe' and stream = 'balance_transactions'
    )
),

messages as (
    select * from stripe_balance_transactions
),

cast_to_type as (
    select
        *,
        minor_units(upper(currency_told)) as currency_units,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        kind_told as kind,
        payment_number_told as payment_number,
        payout_number_told as payout_number,
        upper(currency_told) as currency,
        as_decimal(amount_told) as amount,
        as_decimal(fee_told) as fee,
        as_decimal(net_told) as net,
        as_instant(moved_at_told, zone) as moved_at,
        as_instant(available_at_told, zone) as available_at
    from messages
),

judged as (
    select
        *,
        struct_pack(
            kind := case
                when system not in ('stripe') or not said.kind then null
                when kind is null then 'is missing'
            end,
            payment_number := cast(null as varchar),
            payout_number := cast(null as varchar),
            currency := case
                when system not in ('stripe') or not said.currency then null
                when currency_told is not null and currency_units is null then '«' || currency_told || '» is no ISO 4217 currency'
                when currency is null then 'is missing'
            end,
            amount := case
                when system not in ('stripe') or not said.amount then null
                when amount_told is not null and amount is null then '«' || amount_told || '» is not an amount of money'
                when not fits_units(amount, currency_units) then '«' || amount_told || '» has more decimals than ' || currency
                when amount is null then 'is missing'
            end,
            fee := case
                when system not in ('stripe') or not said.fee then null
                when fee_told is not null and fee is null then '«' || fee_told || '» is not an amount of money'
                when not fits_units(fee, currency_units) then '«' || fee_told || '» has more decimals than ' || currency
                when fee is null then 'is missing'
            end,
            net := case
                when system not in ('stripe') or not said.net then null
                when net_told is not null and net is null then '«' || net_told || '» is not an amount of money'
                when not fits_units(net, currency_units) then '«' || net_told || '» has more decimals than ' || currency
                when net is null then 'is missing'
            end,
            moved_at := case
                when system not in ('stripe') or not said.moved_at then null
                when moved_at_told is not null and moved_at is null then '«' || moved_at_told || '» is not a time'
                when moved_at is null then 'is missing'
            end,
            available_at := case
                when system not in ('stripe') or not said.available_at then null
                when available_at_told is not null and available_at is null then '«' || available_at_told || '» is not a time'
            end
        ) as broken,
        list_filter([
            if(not coalesce(net = amount - fee, true), 'net_is_less_the_fee: breaks the rule net = amount - fee', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
rejections as (
    select
        judged.*,
        list_filter([
            if(transaction_number is null, 'transaction_number is missing', null),
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
    transaction_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    kind,
    payment_number,
    payout_number,
    currency,
    amount,
    fee,
    net,
    moved_at,
    available_at,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'kind ' || broken.kind,
        'payment_number ' || broken.payment_number,
        'payout_number ' || broken.payout_number,
        'amount ' || broken.amount,
        'fee ' || broken.fee,
        'net ' || broken.net,
        'moved_at ' || broken.moved_at,
        'available_at ' || broken.available_at
    ], lambda reason: reason is not null) as reasons
from rejections

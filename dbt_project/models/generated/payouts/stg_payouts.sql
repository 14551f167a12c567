-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about payouts, in our words, cast and judged.
{{ config(tags=["sync_payouts"]) }}

with
stripe_payouts as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('STRIPE-' || ((heard[1] ->> '$'))) as payout_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        case told((heard[3] ->> '$')) when 'pending' then 'pending' when 'in_transit' then 'in_transit' when 'paid' then 'paid' when 'canceled' then 'cancelled' when 'failed' then 'failed' else told((heard[3] ->> '$')) end as status_told,
        told((heard[4] ->> '$')) as currency_told,
        told(stripe_amount((heard[5] ->> '$'), (heard[4] ->> '$'))) as amount_told,
        told((heard[6] ->> '$')) as is_automatic_told,
        told(of_epoch((heard[7] ->> '$'))) as made_at_told,
        told(of_epoch((heard[8] ->> '$'))) as arrives_at_told,
        struct_pack(
            status := heard[3] is not null,
            currency := heard[4] is not null,
            amount := heard[5] is not null or heard[4] is not null,
            is_automatic := heard[6] is not null,
            made_at := heard[7] is not null,
            arrives_at := heard[8] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.as_of', '$.status', '$.currency', '$.amount', '$.automatic', '$.created', '$.arrival_date']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_payouts") }}
        where system = 'stripe' and stream = 'payouts'
    )
),

messages as (
    select * from stripe_payouts
),

cast_to_type as (
    select
        *,
        minor_units(upper(currency_told)) as currency_units,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        status_told as status,
        upper(currency_told) as currency,
        as_decimal(amount_told) as amount,
        as_boolean(is_automatic_told) as is_automatic,
        as_instant(made_at_told, zone) as made_at,
        as_instant(arrives_at_told, zone) as arrives_at
    from messages
),

judged as (
    select
        *,
        struct_pack(
            status := case
                when system not in ('stripe') or not said.status then null
                when status_told is not null and status not in ('pending', 'in_transit', 'paid', 'cancelled', 'failed') then '«' || status_told || '» is no status that the map knows'
                when status is null then 'is missing'
            end,
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
            is_automatic := case
                when system not in ('stripe') or not said.is_automatic then null
                when is_automatic_told is not null and is_automatic is null then '«' || is_automatic_told || '» is neither true nor false'
            end,
            made_at := case
                when system not in ('stripe') or not said.made_at then null
                when made_at_told is not null and made_at is null then '«' || made_at_told || '» is not a time'
                when made_at is null then 'is missing'
            end,
            arrives_at := case
                when system not in ('stripe') or not said.arrives_at then null
                when arrives_at_told is not null and arrives_at is null then '«' || arrives_at_told || '» is not a time'
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
            if(payout_number is null, 'payout_number is missing', null),
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
    payout_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    status,
    currency,
    amount,
    is_automatic,
    made_at,
    arrives_at,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'status ' || broken.status,
        'amount ' || broken.amount,
        'is_automatic ' || broken.is_automatic,
        'made_at ' || broken.made_at,
        'arrives_at ' || broken.arrives_at
    ], lambda reason: reason is not null) as reasons
from rejections

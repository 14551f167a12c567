-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about refunds, in our words, cast and judged.
{{ config(tags=["sync_refunds"]) }}

with
shopify_refunds as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told(coalesce(noted_refund((heard[2] ->> '$')), 'SHOP-' || ((heard[1] ->> '$')))) as refund_number,
        told(coalesce((heard[3] ->> '$'), (heard[4] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(noted_refund((heard[2] ->> '$')) is null, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('SHOP-' || ((heard[5] ->> '$'))) as order_number_told,
        told('STRIPE-' || ((heard[6] ->> '$'))) as payment_number_told,
        case told(coalesce((heard[7] ->> '$'), 'nothing')) when 'success' then 'paid' when 'pending' then 'pending' when 'failure' then 'owed' when 'error' then 'owed' when 'nothing' then 'paid' else told(coalesce((heard[7] ->> '$'), 'nothing')) end as status_told,
        told(coalesce((heard[8] ->> '$'), (heard[9] ->> '$'))) as currency_told,
        told(coalesce(sum_in(heard[10], '$.amount'), '0')) as amount_told,
        told((heard[2] ->> '$')) as reason_told,
        told('SHOP-R' || ((heard[11] ->> '$'))) as return_number_told,
        told(cast(is_taken_in_exchange(heard[13], heard[10], heard[14]) as varchar)) as is_exchange_told,
        told(cast(is_cancelled(heard[13]) as varchar)) as is_cancellation_told,
        told((heard[4] ->> '$')) as refunded_at_told,
        told((heard[4] ->> '$')) as recorded_at_told,
        cast(null as varchar) as credit_number_told,
        cast(null as varchar) as credited_told,
        struct_pack(
            order_number := heard[5] is not null,
            payment_number := heard[6] is not null,
            status := heard[7] is not null,
            currency := heard[8] is not null or heard[9] is not null,
            amount := heard[10] is not null,
            reason := heard[2] is not null,
            return_number := heard[11] is not null or heard[12] = 'null',
            is_exchange := heard[13] is not null or heard[10] is not null or heard[14] is not null,
            is_cancellation := heard[13] is not null,
            refunded_at := heard[4] is not null,
            recorded_at := heard[4] is not null,
            credit_number := false,
            credited := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.note', '$.processed_at', '$.created_at', '$.order_id', '$.transactions[0].authorization', '$.transactions[0].status', '$.transactions[0].currency', '$.refund_line_items[0].subtotal_set.presentment_money.currency_code', '$.transactions', '$.return.id', '$.return', '$.refund_line_items', '$.order_adjustments']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_refunds") }}
        where system = 'shopify' and stream = 'refunds'
    )
),
shopify_refunds_read as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(remote_id) as remote_id,
        told(coalesce(noted_refund((heard[1] ->> '$')), 'SHOP-' || regexp_extract((heard[2] ->> '$'), '\d+$'))) as refund_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(noted_refund((heard[1] ->> '$')) is null, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('SHOP-' || regexp_extract((heard[4] ->> '$'), '\d+$')) as order_number_told,
        told('STRIPE-' || ((heard[5] ->> '$'))) as payment_number_told,
        case told(coalesce((heard[6] ->> '$'), 'NOTHING')) when 'SUCCESS' then 'paid' when 'PENDING' then 'pending' when 'AWAITING_RESPONSE' then 'pending' when 'FAILURE' then 'owed' when 'ERROR' then 'owed' when 'UNKNOWN' then 'owed' when 'NOTHING' then 'paid' else told(coalesce((heard[6] ->> '$'), 'NOTHING')) end as status_told,
        told(coalesce((heard[7] ->> '$'), (heard[8] ->> '$'))) as currency_told,
        told(coalesce(sum_in(heard[10], '$.amountSet.presentmentMoney.amount'), '0')) as amount_told,
        told((heard[1] ->> '$')) as reason_told,
        told('SHOP-R' || regexp_extract((heard[11] ->> '$'), '\d+$')) as return_number_told,
        told(cast(is_taken_in_exchange(heard[13], heard[10], heard[14]) as varchar)) as is_exchange_told,
        told(cast(is_cancelled(heard[13]) as varchar)) as is_cancellation_told,
        told((heard[15] ->> '$')) as refunded_at_told,
        told((heard[15] ->> '$')) as recorded_at_told,
        cast(null as varchar) as credit_number_told,
        cast(null as varchar) as credited_told,
        struct_pack(
            order_number := heard[4] is not null,
            payment_number := heard[5] is not null,
            status := heard[6] is not null,
            currency := heard[7] is not null or heard[8] is not null or heard[9] = 'null',
            amount := heard[10] is not null,
            reason := heard[1] is not null,
            return_number := heard[11] is not null or heard[12] = 'null',
            is_exchange := heard[13] is not null or heard[10] is not null or heard[14] is not null,
            is_cancellation := heard[13] is not null,
            refunded_at := heard[15] is not null,
            recorded_at := heard[15] is not null,
            credit_number := false,
            credited := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.note', '$.id', '$.updatedAt', '$.orderId', '$.transactions[0].authorizationCode', '$.transactions[0].status', '$.transactions[0].amountSet.presentmentMoney.currencyCode', '$.totalRefundedSet.presentmentMoney.currencyCode', '$.totalRefundedSet', '$.transactions', '$.return.id', '$.return', '$.refundLineItems', '$.orderAdjustments', '$.createdAt']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_refunds") }}
        where system = 'shopify' and stream = 'refunds_read'
    )
),
stripe_refunds as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told(coalesce((heard[2] ->> '$'), 'SHOP-' || ((heard[3] ->> '$')), 'STRIPE-' || ((heard[1] ->> '$')))) as refund_number,
        told((heard[4] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce((heard[2] ->> '$') is null and (heard[3] ->> '$') is null, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told('SHOP-' || ((heard[5] ->> '$'))) as order_number_told,
        told('STRIPE-' || ((heard[7] ->> '$'))) as payment_number_told,
        case told(coalesce(if((heard[2] ->> '$') is null and (heard[3] ->> '$') is null and as_whole((heard[8] ->> '$')) = as_whole((heard[9] ->> '$')) - as_whole((heard[10] ->> '$')), 'released', null), (heard[11] ->> '$'))) when 'pending' then 'pending' when 'requires_action' then 'pending' when 'succeeded' then 'paid' when 'failed' then 'failed' when 'canceled' then 'failed' when 'released' then 'released' else told(coalesce(if((heard[2] ->> '$') is null and (heard[3] ->> '$') is null and as_whole((heard[8] ->> '$')) = as_whole((heard[9] ->> '$')) - as_whole((heard[10] ->> '$')), 'released', null), (heard[11] ->> '$'))) end as status_told,
        told((heard[13] ->> '$')) as currency_told,
        told(stripe_amount((heard[8] ->> '$'), (heard[13] ->> '$'))) as amount_told,
        told((heard[14] ->> '$')) as reason_told,
        cast(null as varchar) as return_number_told,
        cast(null as varchar) as is_exchange_told,
        cast(null as varchar) as is_cancellation_told,
        told(of_epoch((heard[15] ->> '$'))) as refunded_at_told,
        cast(null as varchar) as recorded_at_told,
        cast(null as varchar) as credit_number_told,
        cast(null as varchar) as credited_told,
        struct_pack(
            order_number := heard[5] is not null or heard[6] = 'null',
            payment_number := heard[7] is not null,
            status := heard[2] is not null or heard[12] = 'null' or heard[3] is not null or heard[12] = 'null' or heard[8] is not null or heard[9] is not null or heard[6] = 'null' or heard[10] is not null or heard[6] = 'null' or heard[11] is not null,
            currency := heard[13] is not null,
            amount := heard[8] is not null or heard[13] is not null,
            reason := heard[14] is not null,
            return_number := false,
            is_exchange := false,
            is_cancellation := false,
            refunded_at := heard[15] is not null,
            recorded_at := false,
            credit_number := false,
            credited := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.metadata.refund_number', '$.metadata.refund_id', '$.as_of', '$.charge.metadata.order_id', '$.charge', '$.payment_intent', '$.amount', '$.charge.amount', '$.charge.amount_captured', '$.status', '$.metadata', '$.currency', '$.reason', '$.created']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_refunds") }}
        where system = 'stripe' and stream = 'refunds'
    )
),
tryton_credits as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told((heard[2] ->> '$')) as refund_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        cast(null as varchar) as order_number_told,
        cast(null as varchar) as payment_number_told,
        cast(null as varchar) as status_told,
        told((heard[4] ->> '$')) as currency_told,
        cast(null as varchar) as amount_told,
        cast(null as varchar) as reason_told,
        cast(null as varchar) as return_number_told,
        cast(null as varchar) as is_exchange_told,
        cast(null as varchar) as is_cancellation_told,
        cast(null as varchar) as refunded_at_told,
        cast(null as varchar) as recorded_at_told,
        told((heard[5] ->> '$')) as credit_number_told,
        told((heard[6] ->> '$')) as credited_told,
        struct_pack(
            order_number := false,
            payment_number := false,
            status := false,
            currency := heard[4] is not null,
            amount := false,
            reason := false,
            return_number := false,
            is_exchange := false,
            is_cancellation := false,
            refunded_at := false,
            recorded_at := false,
            credit_number := heard[5] is not null,
            credited := heard[6] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.refund_number', '$.write_date', '$.currency', '$.number', '$.total_amount']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_refunds") }}
        where system = 'tryton' and stream = 'credits'
    )
),

messages as (
    select * from shopify_refunds union all by name
    select * from shopify_refunds_read union all by name
    select * from stripe_refunds union all by name
    select * from tryton_credits
),

cast_to_type as (
    select
        *,
        minor_units(upper(currency_told)) as currency_units,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        order_number_told as order_number,
        payment_number_told as payment_number,
        status_told as status,
        upper(currency_told) as currency,
        as_decimal(amount_told) as amount,
        reason_told as reason,
        return_number_told as return_number,
        as_boolean(is_exchange_told) as is_exchange,
        as_boolean(is_cancellation_told) as is_cancellation,
        as_instant(refunded_at_told, zone) as refunded_at,
        as_instant(recorded_at_told, zone) as recorded_at,
        credit_number_told as credit_number,
        as_decimal(credited_told) as credited
    from messages
),

judged as (
    select
        *,
        struct_pack(
            order_number := cast(null as varchar),
            payment_number := cast(null as varchar),
            status := case
                when system not in ('shopify', 'stripe') or not said.status then null
                when status_told is not null and status not in ('owed', 'pending', 'paid', 'released', 'failed') then '«' || status_told || '» is no status that the map knows'
                when status is null then 'is missing'
            end,
            currency := case
                when system not in ('shopify', 'stripe') or not said.currency then null
                when currency_told is not null and currency_units is null then '«' || currency_told || '» is no ISO 4217 currency'
                when currency is null then 'is missing'
            end,
            amount := case
                when system not in ('shopify', 'stripe') or not said.amount then null
                when amount_told is not null and amount is null then '«' || amount_told || '» is not an amount of money'
                when not fits_units(amount, currency_units) then '«' || amount_told || '» has more decimals than ' || currency
                when amount is null then 'is missing'
                when not (amount >= 0) then '«' || coalesce(amount_told, 'nothing') || '» breaks the rule ' || 'amount >= 0'
            end,
            reason := cast(null as varchar),
            return_number := cast(null as varchar),
            is_exchange := case
                when system not in ('shopify') or not said.is_exchange then null
                when is_exchange_told is not null and is_exchange is null then '«' || is_exchange_told || '» is neither true nor false'
            end,
            is_cancellation := case
                when system not in ('shopify') or not said.is_cancellation then null
                when is_cancellation_told is not null and is_cancellation is null then '«' || is_cancellation_told || '» is neither true nor false'
            end,
            refunded_at := case
                when system not in ('shopify', 'stripe') or not said.refunded_at then null
                when refunded_at_told is not null and refunded_at is null then '«' || refunded_at_told || '» is not a time'
                when refunded_at is null then 'is missing'
            end,
            recorded_at := case
                when system not in ('shopify') or not said.recorded_at then null
                when recorded_at_told is not null and recorded_at is null then '«' || recorded_at_told || '» is not a time'
            end,
            credit_number := cast(null as varchar),
            credited := case
                when system not in ('tryton') or not said.credited then null
                when credited_told is not null and credited is null then '«' || credited_told || '» is not an amount of money'
                when not fits_units(credited, currency_units) then '«' || credited_told || '» has more decimals than ' || currency
            end
        ) as broken,
        list_filter([
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
bad_refund_lines as (
    select
        inbox_id,
        list('line ' || position || coalesce(' (' || sku || ')', '') || ' ' || reason order by position, reason) as reasons
    from (
        select inbox_id, position, sku, unnest(reasons) as reason
        from {{ ref("stg_refund_lines") }}
        where len(reasons) > 0
        union all
        select inbox_id, max(position), arg_max(sku, position), 'has the id of another line: ' || line_id
        from {{ ref("stg_refund_lines") }}
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
            if(refund_number is null, 'refund_number is missing', null),
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
            'currency ' || broken.currency,
            null
        ], lambda reason: reason is not null)
            || coalesce(bad_refund_lines.reasons, [])
            as rejections
    from judged
    left join bad_refund_lines using (inbox_id)
)

select
    inbox_id, system, stream, received_at,
    arrived_by, file_name, row_number, remote_id,
    refund_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    order_number,
    payment_number,
    status,
    currency,
    amount,
    reason,
    return_number,
    is_exchange,
    is_cancellation,
    refunded_at,
    recorded_at,
    credit_number,
    credited,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'order_number ' || broken.order_number,
        'payment_number ' || broken.payment_number,
        'status ' || broken.status,
        'amount ' || broken.amount,
        'reason ' || broken.reason,
        'return_number ' || broken.return_number,
        'is_exchange ' || broken.is_exchange,
        'is_cancellation ' || broken.is_cancellation,
        'refunded_at ' || broken.refunded_at,
        'recorded_at ' || broken.recorded_at,
        'credit_number ' || broken.credit_number,
        'credited ' || broken.credited
    ], lambda reason: reason is not null) as reasons
from rejections

-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about payments, in our words, cast and judged.
{{ config(tags=["sync_payments"]) }}

with
stripe_payment_intents as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('STRIPE-' || ((heard[1] ->> '$'))) as payment_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told('SHOP-' || ((heard[3] ->> '$'))) as order_number_told,
        case told(coalesce(if((heard[5] ->> '$') = 'true' and (heard[6] ->> '$') = 'true', 'refunded', null), if((heard[7] ->> '$') = 'requires_payment_method' and (heard[8] ->> '$') is not null, 'failed', null), (heard[7] ->> '$'))) when 'requires_payment_method' then 'pending' when 'requires_confirmation' then 'pending' when 'requires_action' then 'pending' when 'processing' then 'pending' when 'pending' then 'pending' when 'failed' then 'failed' when 'requires_capture' then 'authorised' when 'uncaptured' then 'authorised' when 'canceled' then 'voided' when 'released' then 'voided' when 'succeeded' then 'captured' when 'refunded' then 'refunded' else told(coalesce(if((heard[5] ->> '$') = 'true' and (heard[6] ->> '$') = 'true', 'refunded', null), if((heard[7] ->> '$') = 'requires_payment_method' and (heard[8] ->> '$') is not null, 'failed', null), (heard[7] ->> '$'))) end as status_told,
        told((heard[10] ->> '$')) as currency_told,
        told(stripe_amount((heard[11] ->> '$'), (heard[10] ->> '$'))) as amount_told,
        told(stripe_amount((heard[12] ->> '$'), (heard[10] ->> '$'))) as captured_told,
        told(stripe_amount(given_back((heard[13] ->> '$'), (heard[14] ->> '$'), (heard[15] ->> '$')), (heard[10] ->> '$'))) as refunded_told,
        case told(if((heard[16] ->> '$') = 'true', 'needs_response', null)) when 'warning_needs_response' then 'open' when 'warning_under_review' then 'open' when 'needs_response' then 'open' when 'under_review' then 'open' when 'warning_closed' then 'won' when 'won' then 'won' when 'prevented' then 'won' when 'lost' then 'lost' else told(if((heard[16] ->> '$') = 'true', 'needs_response', null)) end as dispute_told,
        told(of_epoch((heard[17] ->> '$'))) as happened_at_told,
        told((heard[18] ->> '$')) as method_told,
        told((heard[19] ->> '$')) as brand_told,
        struct_pack(
            order_number := heard[3] is not null or heard[4] = 'null',
            status := heard[5] is not null or heard[9] = 'null' or heard[6] is not null or heard[9] = 'null' or heard[7] is not null or heard[8] is not null,
            currency := heard[10] is not null,
            amount := heard[11] is not null or heard[10] is not null,
            captured := heard[12] is not null or heard[10] is not null,
            refunded := heard[13] is not null or heard[9] = 'null' or heard[14] is not null or heard[9] = 'null' or heard[15] is not null or heard[9] = 'null' or heard[10] is not null,
            dispute := heard[16] is not null or heard[9] = 'null',
            happened_at := heard[17] is not null,
            method := heard[18] is not null or heard[9] = 'null',
            brand := heard[19] is not null or heard[9] = 'null'
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.as_of', '$.metadata.order_id', '$.metadata', '$.latest_charge.captured', '$.latest_charge.refunded', '$.status', '$.last_payment_error', '$.latest_charge', '$.currency', '$.amount', '$.amount_received', '$.latest_charge.amount_refunded', '$.latest_charge.amount', '$.latest_charge.amount_captured', '$.latest_charge.disputed', '$.created', '$.latest_charge.payment_method_details.type', '$.latest_charge.payment_method_details.card.brand']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_payments") }}
        where system = 'stripe' and stream = 'payment_intents'
    )
),
stripe_charges as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('STRIPE-' || coalesce((heard[2] ->> '$'), (heard[1] ->> '$'))) as payment_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told('SHOP-' || ((heard[4] ->> '$'))) as order_number_told,
        case told(coalesce(if((heard[6] ->> '$') = 'true' and (heard[7] ->> '$') = 'true', 'refunded', null), if((heard[6] ->> '$') = 'true', 'released', null), if((heard[8] ->> '$') = 'succeeded' and (heard[7] ->> '$') = 'false', 'uncaptured', null), (heard[8] ->> '$'))) when 'requires_payment_method' then 'pending' when 'requires_confirmation' then 'pending' when 'requires_action' then 'pending' when 'processing' then 'pending' when 'pending' then 'pending' when 'failed' then 'failed' when 'requires_capture' then 'authorised' when 'uncaptured' then 'authorised' when 'canceled' then 'voided' when 'released' then 'voided' when 'succeeded' then 'captured' when 'refunded' then 'refunded' else told(coalesce(if((heard[6] ->> '$') = 'true' and (heard[7] ->> '$') = 'true', 'refunded', null), if((heard[6] ->> '$') = 'true', 'released', null), if((heard[8] ->> '$') = 'succeeded' and (heard[7] ->> '$') = 'false', 'uncaptured', null), (heard[8] ->> '$'))) end as status_told,
        told((heard[9] ->> '$')) as currency_told,
        told(stripe_amount((heard[10] ->> '$'), (heard[9] ->> '$'))) as amount_told,
        told(stripe_amount((heard[11] ->> '$'), (heard[9] ->> '$'))) as captured_told,
        told(stripe_amount(given_back((heard[12] ->> '$'), (heard[10] ->> '$'), (heard[11] ->> '$')), (heard[9] ->> '$'))) as refunded_told,
        case told(if((heard[13] ->> '$') = 'true', 'needs_response', null)) when 'warning_needs_response' then 'open' when 'warning_under_review' then 'open' when 'needs_response' then 'open' when 'under_review' then 'open' when 'warning_closed' then 'won' when 'won' then 'won' when 'prevented' then 'won' when 'lost' then 'lost' else told(if((heard[13] ->> '$') = 'true', 'needs_response', null)) end as dispute_told,
        told(of_epoch((heard[14] ->> '$'))) as happened_at_told,
        told((heard[15] ->> '$')) as method_told,
        told((heard[17] ->> '$')) as brand_told,
        struct_pack(
            order_number := heard[4] is not null or heard[5] = 'null',
            status := heard[6] is not null or heard[7] is not null or heard[8] is not null,
            currency := heard[9] is not null,
            amount := heard[10] is not null or heard[9] is not null,
            captured := heard[11] is not null or heard[9] is not null,
            refunded := heard[12] is not null or heard[10] is not null or heard[11] is not null or heard[9] is not null,
            dispute := heard[13] is not null,
            happened_at := heard[14] is not null,
            method := heard[15] is not null or heard[16] = 'null',
            brand := heard[17] is not null or heard[16] = 'null'
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.payment_intent', '$.as_of', '$.metadata.order_id', '$.metadata', '$.refunded', '$.captured', '$.status', '$.currency', '$.amount', '$.amount_captured', '$.amount_refunded', '$.disputed', '$.created', '$.payment_method_details.type', '$.payment_method_details', '$.payment_method_details.card.brand']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_payments") }}
        where system = 'stripe' and stream = 'charges'
    )
),
stripe_disputes as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('STRIPE-' || coalesce((heard[2] ->> '$'), (heard[3] ->> '$'))) as payment_number,
        told((heard[4] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(false, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        cast(null as varchar) as order_number_told,
        cast(null as varchar) as status_told,
        cast(null as varchar) as currency_told,
        cast(null as varchar) as amount_told,
        cast(null as varchar) as captured_told,
        cast(null as varchar) as refunded_told,
        case told((heard[5] ->> '$')) when 'warning_needs_response' then 'open' when 'warning_under_review' then 'open' when 'needs_response' then 'open' when 'under_review' then 'open' when 'warning_closed' then 'won' when 'won' then 'won' when 'prevented' then 'won' when 'lost' then 'lost' else told((heard[5] ->> '$')) end as dispute_told,
        cast(null as varchar) as happened_at_told,
        cast(null as varchar) as method_told,
        cast(null as varchar) as brand_told,
        struct_pack(
            order_number := false,
            status := false,
            currency := false,
            amount := false,
            captured := false,
            refunded := false,
            dispute := heard[5] is not null,
            happened_at := false,
            method := false,
            brand := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.payment_intent', '$.charge', '$.as_of', '$.status']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_payments") }}
        where system = 'stripe' and stream = 'disputes'
    )
),

messages as (
    select * from stripe_payment_intents union all by name
    select * from stripe_charges union all by name
    select * from stripe_disputes
),

cast_to_type as (
    select
        *,
        minor_units(upper(currency_told)) as currency_units,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        order_number_told as order_number,
        status_told as status,
        upper(currency_told) as currency,
        as_decimal(amount_told) as amount,
        as_decimal(captured_told) as captured,
        as_decimal(refunded_told) as refunded,
        dispute_told as dispute,
        as_instant(happened_at_told, zone) as happened_at,
        method_told as method,
        brand_told as brand
    from messages
),

judged as (
    select
        *,
        struct_pack(
            order_number := cast(null as varchar),
            status := case
                when system not in ('stripe') or not said.status then null
                when status_told is not null and status not in ('pending', 'failed', 'authorised', 'voided', 'captured', 'refunded') then '«' || status_told || '» is no status that the map knows'
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
                when not (amount >= 0) then '«' || coalesce(amount_told, 'nothing') || '» breaks the rule ' || 'amount >= 0'
            end,
            captured := case
                when system not in ('stripe') or not said.captured then null
                when captured_told is not null and captured is null then '«' || captured_told || '» is not an amount of money'
                when not fits_units(captured, currency_units) then '«' || captured_told || '» has more decimals than ' || currency
                when not (captured >= 0) then '«' || coalesce(captured_told, 'nothing') || '» breaks the rule ' || 'captured >= 0'
            end,
            refunded := case
                when system not in ('stripe') or not said.refunded then null
                when refunded_told is not null and refunded is null then '«' || refunded_told || '» is not an amount of money'
                when not fits_units(refunded, currency_units) then '«' || refunded_told || '» has more decimals than ' || currency
                when not (refunded >= 0) then '«' || coalesce(refunded_told, 'nothing') || '» breaks the rule ' || 'refunded >= 0'
            end,
            dispute := case
                when system not in ('stripe') or not said.dispute then null
                when dispute_told is not null and dispute not in ('open', 'won', 'lost') then '«' || dispute_told || '» is no status that the map knows'
            end,
            happened_at := case
                when system not in ('stripe') or not said.happened_at then null
                when happened_at_told is not null and happened_at is null then '«' || happened_at_told || '» is not a time'
                when happened_at is null then 'is missing'
            end,
            method := cast(null as varchar),
            brand := cast(null as varchar)
        ) as broken,
        list_filter([
            if(not coalesce(captured <= amount, true), 'captured_was_authorised: breaks the rule captured <= amount', null),
            if(not coalesce(refunded <= captured, true), 'refunded_was_captured: breaks the rule refunded <= captured', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
rejections as (
    select
        judged.*,
        list_filter([
            if(payment_number is null, 'payment_number is missing', null),
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
    payment_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    order_number,
    status,
    currency,
    amount,
    captured,
    refunded,
    dispute,
    happened_at,
    method,
    brand,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'order_number ' || broken.order_number,
        'status ' || broken.status,
        'amount ' || broken.amount,
        'captured ' || broken.captured,
        'refunded ' || broken.refunded,
        'dispute ' || broken.dispute,
        'happened_at ' || broken.happened_at,
        'method ' || broken.method,
        'brand ' || broken.brand
    ], lambda reason: reason is not null) as reasons
from rejections

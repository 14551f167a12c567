-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about customers, in our words, cast and judged.
{{ config(materialized="renewed", meta={"renews": "batch", "column": "inbox_id"}, tags=["sync_customers"]) }}

with
shopify_orders as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told(nullif(trim(concat_ws(' ', (heard[3] ->> '$'), (heard[4] ->> '$'))), '')) as name_told,
        told((heard[6] ->> '$')) as email_told,
        told((heard[7] ->> '$')) as phone_told,
        cast(null as varchar) as erp_number_told,
        struct_pack(
            name := heard[3] is not null or heard[5] = 'null' or heard[4] is not null or heard[5] = 'null',
            email := heard[6] is not null or heard[5] = 'null',
            phone := heard[7] is not null or heard[5] = 'null',
            erp_number := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.id', '$.updated_at', '$.customer.first_name', '$.customer.last_name', '$.customer', '$.customer.email', '$.customer.phone']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'shopify' and stream = 'orders' and {{ in_batch("inbox_id") }}
    )
    where ((heard[1] ->> '$')) is not null
),
shopify_orders_read as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('SHOP-C' || ((heard[1] ->> '$'))) as customer_number,
        told((heard[2] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told(nullif(trim(concat_ws(' ', (heard[3] ->> '$'), (heard[4] ->> '$'))), '')) as name_told,
        told((heard[6] ->> '$')) as email_told,
        told((heard[7] ->> '$')) as phone_told,
        cast(null as varchar) as erp_number_told,
        struct_pack(
            name := heard[3] is not null or heard[5] = 'null' or heard[4] is not null or heard[5] = 'null',
            email := heard[6] is not null or heard[5] = 'null',
            phone := heard[7] is not null or heard[5] = 'null',
            erp_number := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.legacyResourceId', '$.updatedAt', '$.customer.firstName', '$.customer.lastName', '$.customer', '$.customer.defaultEmailAddress.emailAddress', '$.customer.defaultPhoneNumber.phoneNumber']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'shopify' and stream = 'orders_read' and {{ in_batch("inbox_id") }}
    )
    where ((heard[1] ->> '$')) is not null
),
tryton_parties as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told((heard[1] ->> '$')) as remote_id,
        told('ERP-' || ((heard[2] ->> '$'))) as customer_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told((heard[4] ->> '$')) as name_told,
        told((heard[5] ->> '$')) as email_told,
        told((heard[6] ->> '$')) as phone_told,
        told((heard[2] ->> '$')) as erp_number_told,
        struct_pack(
            name := heard[4] is not null,
            email := heard[5] is not null,
            phone := heard[6] is not null,
            erp_number := heard[2] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.code', '$.write_date', '$.name', '$.email', '$.phone']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_customers") }}
        where system = 'tryton' and stream = 'parties' and {{ in_batch("inbox_id") }}
    )
),

messages as (
    select * from shopify_orders union all by name
    select * from shopify_orders_read union all by name
    select * from tryton_parties
),

cast_to_type as (
    select
        *,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        name_told as name,
        lower(email_told) as email,
        phone_told as phone,
        erp_number_told as erp_number
    from messages
),

judged as (
    select
        *,
        struct_pack(
            name := cast(null as varchar),
            email := case
                when system not in ('shopify', 'tryton') or not said.email then null
                when email_told is not null and not is_email(email) then '«' || email_told || '» is no e-mail address'
            end,
            phone := cast(null as varchar),
            erp_number := cast(null as varchar)
        ) as broken,
        list_filter([
            if(system in ('shopify', 'tryton') and said.phone and phone_told is not null and not coalesce(not (not is_phone(phone)), true), 'phone: «' || phone_told || '» is no telephone number', null),
            cast(null as varchar)
        ], lambda reason: reason is not null) as warnings
    from cast_to_type
)
,
rejections as (
    select
        judged.*,
        list_filter([
            if(customer_number is null, 'customer_number is missing', null),
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
    customer_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    name,
    email,
    phone,
    erp_number,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'name ' || broken.name,
        'email ' || broken.email,
        'phone ' || broken.phone,
        'erp_number ' || broken.erp_number
    ], lambda reason: reason is not null) as reasons
from rejections

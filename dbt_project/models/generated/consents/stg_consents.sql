-- generated from pipelines/map by `concord write`; do not edit
-- One row per message about consents, in our words, cast and judged.
{{ config(tags=["sync_consents"]) }}

with
shopify_orders_1 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/email') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/email') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('email') as channel_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'unknown')) when 'unknown' then 'unknown' when 'single_opt_in' then 'single' when 'confirmed_opt_in' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'unknown')) end as level_told,
        told('email_marketing_consent ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'subscribed', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null' or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null',
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.id', '$.customer.email_marketing_consent.state', '$.customer.email_marketing_consent.consent_updated_at', '$.customer.created_at', '$.updated_at', '$.customer', '$.customer.email_marketing_consent.opt_in_level']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'orders'
    )
    where (((heard[1] ->> '$')) is not null) and (coalesce((heard[2] ->> '$'), 'not_subscribed') <> 'not_subscribed')
),
shopify_orders_2 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/sms') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/sms') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('sms') as channel_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'unknown')) when 'unknown' then 'unknown' when 'single_opt_in' then 'single' when 'confirmed_opt_in' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'unknown')) end as level_told,
        told('sms_marketing_consent ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'subscribed', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null' or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null',
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.id', '$.customer.sms_marketing_consent.state', '$.customer.sms_marketing_consent.consent_updated_at', '$.customer.created_at', '$.updated_at', '$.customer', '$.customer.sms_marketing_consent.opt_in_level']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'orders'
    )
    where (((heard[1] ->> '$')) is not null) and (coalesce((heard[2] ->> '$'), 'not_subscribed') <> 'not_subscribed')
),
shopify_orders_read_1 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/email') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/email') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('email') as channel_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) when 'UNKNOWN' then 'unknown' when 'SINGLE_OPT_IN' then 'single' when 'CONFIRMED_OPT_IN' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) end as level_told,
        told('email marketing state ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'SUBSCRIBED', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null' or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null',
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.legacyResourceId', '$.customer.defaultEmailAddress.marketingState', '$.customer.defaultEmailAddress.marketingUpdatedAt', '$.customer.createdAt', '$.updatedAt', '$.customer', '$.customer.defaultEmailAddress.marketingOptInLevel']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'orders_read'
    )
    where (((heard[1] ->> '$')) is not null) and (coalesce((heard[2] ->> '$'), 'NOT_SUBSCRIBED') <> 'NOT_SUBSCRIBED')
),
shopify_orders_read_2 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/sms') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/sms') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        true as tells_lines,
        told('sms') as channel_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) when 'UNKNOWN' then 'unknown' when 'SINGLE_OPT_IN' then 'single' when 'CONFIRMED_OPT_IN' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) end as level_told,
        told('sms marketing state ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'SUBSCRIBED', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null' or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[6] = 'null',
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.customer.legacyResourceId', '$.customer.defaultPhoneNumber.marketingState', '$.customer.defaultPhoneNumber.marketingUpdatedAt', '$.customer.createdAt', '$.updatedAt', '$.customer', '$.customer.defaultPhoneNumber.marketingOptInLevel']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'orders_read'
    )
    where (((heard[1] ->> '$')) is not null) and (coalesce((heard[2] ->> '$'), 'NOT_SUBSCRIBED') <> 'NOT_SUBSCRIBED')
),
shopify_customers_1 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/email') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/email') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        coalesce(((heard[8]) is not null), false) as tells_lines,
        told('email') as channel_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'unknown')) when 'unknown' then 'unknown' when 'single_opt_in' then 'single' when 'confirmed_opt_in' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'unknown')) end as level_told,
        told('email_marketing_consent ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'subscribed', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null,
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.email_marketing_consent.state', '$.email_marketing_consent.consent_updated_at', '$.created_at', '$.updated_at', '$.email_marketing_consent', '$.email_marketing_consent.opt_in_level', '$.default_address']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'customers'
    )
    where (coalesce((heard[2] ->> '$'), 'not_subscribed') <> 'not_subscribed')
),
shopify_customers_2 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/sms') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/sms') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        coalesce(((heard[8]) is not null), false) as tells_lines,
        told('sms') as channel_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'unknown')) when 'unknown' then 'unknown' when 'single_opt_in' then 'single' when 'confirmed_opt_in' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'unknown')) end as level_told,
        told('sms_marketing_consent ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'subscribed', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'pending' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' when 'redacted' then 'withdrawn' when 'invalid' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null,
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.id', '$.sms_marketing_consent.state', '$.sms_marketing_consent.consent_updated_at', '$.created_at', '$.updated_at', '$.sms_marketing_consent', '$.sms_marketing_consent.opt_in_level', '$.default_address']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'customers'
    )
    where (coalesce((heard[2] ->> '$'), 'not_subscribed') <> 'not_subscribed')
),
shopify_customers_read_1 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/email') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/email') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        coalesce(((heard[8]) is not null), false) as tells_lines,
        told('email') as channel_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) when 'UNKNOWN' then 'unknown' when 'SINGLE_OPT_IN' then 'single' when 'CONFIRMED_OPT_IN' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) end as level_told,
        told('email marketing state ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'SUBSCRIBED', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null,
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.legacyResourceId', '$.defaultEmailAddress.marketingState', '$.defaultEmailAddress.marketingUpdatedAt', '$.createdAt', '$.updatedAt', '$.defaultEmailAddress', '$.defaultEmailAddress.marketingOptInLevel', '$.defaultAddress']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'customers_read'
    )
    where (coalesce((heard[2] ->> '$'), 'NOT_SUBSCRIBED') <> 'NOT_SUBSCRIBED')
),
shopify_customers_read_2 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/sms') as remote_id,
        told(('SHOP-C' || ((heard[1] ->> '$'))) || '/sms') as consent_number,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        coalesce(((heard[8]) is not null), false) as tells_lines,
        told('sms') as channel_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as status_told,
        told(consent_time((heard[2] ->> '$'), (heard[3] ->> '$'), (heard[4] ->> '$'), (heard[5] ->> '$'))) as since_told,
        case told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) when 'UNKNOWN' then 'unknown' when 'SINGLE_OPT_IN' then 'single' when 'CONFIRMED_OPT_IN' then 'confirmed' else told(coalesce((heard[7] ->> '$'), 'UNKNOWN')) end as level_told,
        told('sms marketing state ' || ((heard[2] ->> '$'))) as wording_told,
        told('shopify') as said_by_told,
        told(if((heard[2] ->> '$') = 'SUBSCRIBED', coalesce((heard[3] ->> '$'), (heard[4] ->> '$')), null)) as first_opted_in_at_told,
        case told((heard[2] ->> '$')) when 'PENDING' then 'pending' when 'SUBSCRIBED' then 'subscribed' when 'UNSUBSCRIBED' then 'withdrawn' when 'REDACTED' then 'withdrawn' when 'INVALID' then 'withdrawn' else told((heard[2] ->> '$')) end as storefront_status_told,
        cast(null as varchar) as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[2] is not null or heard[6] = 'null',
            since := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null or heard[5] is not null,
            level := heard[7] is not null or heard[6] = 'null',
            wording := heard[2] is not null or heard[6] = 'null',
            said_by := true,
            first_opted_in_at := heard[2] is not null or heard[6] = 'null' or heard[3] is not null or heard[6] = 'null' or heard[4] is not null,
            storefront_status := heard[2] is not null or heard[6] = 'null',
            crm_status := false
        ) as said
    from (
        select
            *, json_extract(payload, ['$.legacyResourceId', '$.defaultPhoneNumber.marketingState', '$.defaultPhoneNumber.marketingUpdatedAt', '$.createdAt', '$.updatedAt', '$.defaultPhoneNumber', '$.defaultPhoneNumber.marketingOptInLevel', '$.defaultAddress']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'shopify' and stream = 'customers_read'
    )
    where (coalesce((heard[2] ->> '$'), 'NOT_SUBSCRIBED') <> 'NOT_SUBSCRIBED')
),
tryton_crm_subscriptions_1 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/email') as remote_id,
        told(('CRM-' || ((heard[1] ->> '$'))) || '/email') as consent_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told('email') as channel_told,
        case told((heard[4] ->> '$')) when 'requested' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' else told((heard[4] ->> '$')) end as status_told,
        told((heard[3] ->> '$')) as since_told,
        case told((heard[5] ->> '$')) when 'single' then 'single' when 'confirmed' then 'confirmed' when 'carried' then 'carried' else told((heard[5] ->> '$')) end as level_told,
        told('list ' || ((heard[2] ->> '$')) || ': ' || ((heard[4] ->> '$')) || ' by ' || ((heard[6] ->> '$'))) as wording_told,
        told('tryton_crm') as said_by_told,
        cast(null as varchar) as first_opted_in_at_told,
        cast(null as varchar) as storefront_status_told,
        case told((heard[4] ->> '$')) when 'requested' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' else told((heard[4] ->> '$')) end as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[4] is not null,
            since := heard[3] is not null,
            level := heard[5] is not null,
            wording := heard[2] is not null or heard[4] is not null or heard[6] is not null,
            said_by := true,
            first_opted_in_at := false,
            storefront_status := false,
            crm_status := heard[4] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.contact', '$.list', '$.write_date', '$.state', '$.how', '$.written_by']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'tryton_crm' and stream = 'subscriptions'
    )
    where (((heard[1] ->> '$')) is not null) and ((heard[2] ->> '$') = 'Newsletter')
),
tryton_crm_subscriptions_2 as (
    select
        inbox_id, system, stream, received_at, 'UTC' as zone,
        arrived_by, file_name, row_number, tie_of_body(body_hash) as tie,
        told(((heard[1] ->> '$')) || '/sms') as remote_id,
        told(('CRM-' || ((heard[1] ->> '$'))) || '/sms') as consent_number,
        told((heard[3] ->> '$')) as occurred_at_told, true as has_clock,
        coalesce(true, false) as may_originate,
        false as is_deletion,
        false as tells_lines,
        told('sms') as channel_told,
        case told((heard[4] ->> '$')) when 'requested' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' else told((heard[4] ->> '$')) end as status_told,
        told((heard[3] ->> '$')) as since_told,
        case told((heard[5] ->> '$')) when 'single' then 'single' when 'confirmed' then 'confirmed' when 'carried' then 'carried' else told((heard[5] ->> '$')) end as level_told,
        told('list ' || ((heard[2] ->> '$')) || ': ' || ((heard[4] ->> '$')) || ' by ' || ((heard[6] ->> '$'))) as wording_told,
        told('tryton_crm') as said_by_told,
        cast(null as varchar) as first_opted_in_at_told,
        cast(null as varchar) as storefront_status_told,
        case told((heard[4] ->> '$')) when 'requested' then 'pending' when 'subscribed' then 'subscribed' when 'unsubscribed' then 'withdrawn' else told((heard[4] ->> '$')) end as crm_status_told,
        struct_pack(
            channel := true,
            status := heard[4] is not null,
            since := heard[3] is not null,
            level := heard[5] is not null,
            wording := heard[2] is not null or heard[4] is not null or heard[6] is not null,
            said_by := true,
            first_opted_in_at := false,
            storefront_status := false,
            crm_status := heard[4] is not null
        ) as said
    from (
        select
            *, json_extract(payload, ['$.contact', '$.list', '$.write_date', '$.state', '$.how', '$.written_by']) as heard,
            cast(null as varchar) as as_of
        from {{ ref("landing_consents") }}
        where system = 'tryton_crm' and stream = 'subscriptions'
    )
    where (((heard[1] ->> '$')) is not null) and ((heard[2] ->> '$') = 'Text messages')
),

messages as (
    select * from shopify_orders_1 union all by name
    select * from shopify_orders_2 union all by name
    select * from shopify_orders_read_1 union all by name
    select * from shopify_orders_read_2 union all by name
    select * from shopify_customers_1 union all by name
    select * from shopify_customers_2 union all by name
    select * from shopify_customers_read_1 union all by name
    select * from shopify_customers_read_2 union all by name
    select * from tryton_crm_subscriptions_1 union all by name
    select * from tryton_crm_subscriptions_2
),

cast_to_type as (
    select
        *,
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
        channel_told as channel,
        status_told as status,
        as_instant(since_told, zone) as since,
        level_told as level,
        wording_told as wording,
        said_by_told as said_by,
        as_instant(first_opted_in_at_told, zone) as first_opted_in_at,
        storefront_status_told as storefront_status,
        crm_status_told as crm_status
    from messages
),

judged as (
    select
        *,
        struct_pack(
            channel := cast(null as varchar),
            status := case
                when system not in ('shopify', 'tryton_crm') or not said.status then null
                when status_told is not null and status not in ('pending', 'subscribed', 'withdrawn') then '«' || status_told || '» is no status that the map knows'
                when status is null then 'is missing'
            end,
            since := case
                when system not in ('shopify', 'tryton_crm') or not said.since then null
                when since_told is not null and since is null then '«' || since_told || '» is not a time'
            end,
            level := case
                when system not in ('shopify', 'tryton_crm') or not said.level then null
                when level_told is not null and level not in ('unknown', 'single', 'confirmed', 'carried') then '«' || level_told || '» is no status that the map knows'
            end,
            wording := cast(null as varchar),
            said_by := cast(null as varchar),
            first_opted_in_at := case
                when system not in ('shopify') or not said.first_opted_in_at then null
                when first_opted_in_at_told is not null and first_opted_in_at is null then '«' || first_opted_in_at_told || '» is not a time'
            end,
            storefront_status := case
                when system not in ('shopify') or not said.storefront_status then null
                when storefront_status_told is not null and storefront_status not in ('pending', 'subscribed', 'withdrawn') then '«' || storefront_status_told || '» is no status that the map knows'
            end,
            crm_status := case
                when system not in ('tryton_crm') or not said.crm_status then null
                when crm_status_told is not null and crm_status not in ('pending', 'subscribed', 'withdrawn') then '«' || crm_status_told || '» is no status that the map knows'
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
            if(consent_number is null, 'consent_number is missing', null),
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
    consent_number,
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
    channel,
    status,
    since,
    level,
    wording,
    said_by,
    first_opted_in_at,
    storefront_status,
    crm_status,
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
        'channel ' || broken.channel,
        'status ' || broken.status,
        'since ' || broken.since,
        'level ' || broken.level,
        'wording ' || broken.wording,
        'said_by ' || broken.said_by,
        'first_opted_in_at ' || broken.first_opted_in_at,
        'storefront_status ' || broken.storefront_status,
        'crm_status ' || broken.crm_status
    ], lambda reason: reason is not null) as reasons
from rejections

-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on consents and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_consents"]) }}

with
deliveries as (
    select key as consent_number, system, max(happened_at) as delivered_at
    from {{ ref("ledger_consents") }}
    where kind in ('delivered', 'held') and key in (select consent_number from {{ ref("touched_consents") }})
    group by key, system
),

-- What each system said since it last took a delivery: the first of it shows how it keeps what it took.
messages as (
    select told.*
    from {{ told_of(ref("stg_consents"), ref("links_consents"), ref("touched_consents"), key="consent_number") }} as told
    left join deliveries using (consent_number, system)
    where not is_rejected and (delivered_at is null or received_at >= delivered_at)
),

heard as (
    select
        consent_number, 'shopify' as system, 'status' as field, 'restore' as on_foreign_write,
        cast(arg_min(status, inbox_id) as varchar) as value_before,
        cast(arg_max(status, inbox_id) as varchar) as value_now,
        max(received_at) as seen_at
    from messages
    where system = 'shopify' and said.status
    group by consent_number
    union all
    select
        consent_number, 'tryton_crm' as system, 'status' as field, 'restore' as on_foreign_write,
        cast(arg_min(status, inbox_id) as varchar) as value_before,
        cast(arg_max(status, inbox_id) as varchar) as value_now,
        max(received_at) as seen_at
    from messages
    where system = 'tryton_crm' and said.status
    group by consent_number
    
),

ours as (
    select consent_number, 'shopify' as system, 'status' as field, cast(status as varchar) as our_value
    from {{ ref("consents") }}
    where consent_number in (select consent_number from heard)
    union all
    select consent_number, 'tryton_crm' as system, 'status' as field, cast(status as varchar) as our_value
    from {{ ref("consents") }}
    where consent_number in (select consent_number from heard)
    
)

select *, 'team:ecommerce' as steward
from (
    select heard.*, ours.our_value
    from heard
    join ours using (consent_number, system, field)
    where value_now is distinct from value_before and value_now is distinct from our_value
)

-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about consents, the first that matches.
{{ config(tags=["sync_consents"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_consents"), ref("links_consents"), ref("touched_consents"), key="consent_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.consent_number) as consent_number)
        from {{ ref("stg_consents") }} as stg
        left join {{ ref("links_consents") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_consents") }} using (consent_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, consent_number,
        system in ('shopify', 'tryton_crm') as may_own
    from told
),

records as (
    select consent_number, winners
    from {{ ref("consents") }}
    semi join {{ ref("touched_consents") }} using (consent_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select consent_number from {{ ref("consents") }} where false
)

-- Of what a message told of several records, the first that matches.
select
    inbox_id, any_value(system) as system, any_value(stream) as stream, any_value(received_at) as received_at, min(key) as key,
    ['quarantined', 'pending', 'applied', 'superseded', 'ignored'][
        min(list_position(['quarantined', 'pending', 'applied', 'superseded', 'ignored'], verdict))
    ] as verdict
from (
select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.consent_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.consent_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.consent_number in (select consent_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (consent_number)
left join winners on winners.inbox_id = messages.inbox_id
)
group by inbox_id

union all

-- What tells of other things alone.
select inbox_id, system, stream, received_at, null as key, 'ignored' as verdict
from {{ ref("landing_consents") }}
anti join {{ ref("stg_consents") }} using (inbox_id)
where {{ in_batch("inbox_id") }}

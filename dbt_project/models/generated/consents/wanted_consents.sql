-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of consents: one row per flow, destination and record.
{{ config(tags=["sync_consents"]) }}

with records as (
    select * from {{ ref("consents") }} where consent_number in (select consent_number from {{ ref("touched_consents") }})
),

-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as consent_number, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_consents") }}
    cross join (select unnest(['consents_to_crm', 'withdrawals_to_storefront']) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
),

links as (
    select key as consent_number, system, max(remote_id) as remote_id
    from {{ ref("links_consents") }}
    where key in (select consent_number from records)
    group by key, system
),

conflicts as (
    select consent_number, system, bool_or(on_foreign_write = 'restore') as is_restored,
        max('foreign write: ' || system || ' changed ' || field || ' from ' || coalesce(value_before, 'nothing') || ' to ' || coalesce(value_now, 'nothing') || '; a person decides')
            filter (where on_foreign_write = 'hold') as held_because
    from {{ ref("consents_conflicts") }}
    group by consent_number, system
),

consents_to_crm as (
    select
        'consents_to_crm' as flow,
        'tryton_crm' as system,
        records.consent_number,
        coalesce(status is distinct from crm_status and (crm_status is not null or status <> 'withdrawn'), false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            consent_number := records.consent_number,
            channel := records.channel,
            status := records.status,
            since := strftime(records.since, '%Y-%m-%dT%H:%M:%S.%fZ'),
            wording := records.wording,
            first_opted_in_at := strftime(records.first_opted_in_at, '%Y-%m-%dT%H:%M:%S.%fZ')
        )) as payload,
        coalesce(links.remote_id, name_in(records.known_as, 'tryton_crm')) as remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('channel', 'status', 'since', 'wording', 'first_opted_in_at'))[1],
            conflicts.held_because,
            null
        ) as held_because,
        case
            when conflicts.is_restored then 'restore'
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join asked on asked.consent_number = records.consent_number and asked.of_flow = 'consents_to_crm'
    left join links on links.consent_number = records.consent_number and links.system = 'tryton_crm'
    left join conflicts on conflicts.consent_number = records.consent_number and conflicts.system = 'tryton_crm'
),
withdrawals_to_storefront as (
    select
        'withdrawals_to_storefront' as flow,
        'shopify' as system,
        records.consent_number,
        coalesce(status = 'withdrawn' and storefront_status in ('pending', 'subscribed'), false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            consent_number := records.consent_number,
            channel := records.channel,
            status := records.status,
            since := strftime(records.since, '%Y-%m-%dT%H:%M:%S.%fZ')
        )) as payload,
        coalesce(links.remote_id, name_in(records.known_as, 'shopify')) as remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('channel', 'status', 'since'))[1],
            conflicts.held_because,
            null
        ) as held_because,
        case
            when conflicts.is_restored then 'restore'
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join asked on asked.consent_number = records.consent_number and asked.of_flow = 'withdrawals_to_storefront'
    left join links on links.consent_number = records.consent_number and links.system = 'shopify'
    left join conflicts on conflicts.consent_number = records.consent_number and conflicts.system = 'shopify'
)

select * from consents_to_crm
union all
select * from withdrawals_to_storefront

-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about consents, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "consent_number", "sampled": "stg_consents", "counted": "snapshots_consents", "at_once": 1000000},
    tags=["reconcile_consents"],
) }}

with held as (
    select stg.* exclude (consent_number), coalesce(links.key, stg.consent_number) as consent_number
    from {{ ref("snapshots_consents") }} as snapshots
    join {{ ref("stg_consents") }} as stg using (inbox_id)
    left join {{ ref("links_consents") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.consent_number))
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_consents") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_consents") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_consents") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

holds as (
    select consent_number, flow, max(held_because) as held_because
    from {{ ref("wanted_consents") }}
    where held_because is not null and in_turn(consent_number)
    group by consent_number, flow
),

owned_and_marketing_us as (
    select consent_number, cast(last_received_at as timestamptz) as told_at, 1 as copies,
        status,
    from {{ ref("consents") }}
    where in_turn(consent_number) and deleted_at is null
),
owned_and_marketing_crm as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.status,
    from (
        select
            consent_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(remote_id, order_key) as remote_id,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('tryton_crm') and consent_number is not null
        group by consent_number
    ) as newest
    join {{ ref("stg_consents") }} as stg using (inbox_id, remote_id)
),

owned_and_marketing_looked as (
    select {{ moment() }} as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('tryton_crm')) as at_other
),

owned_and_marketing as (
    select
        'owned_and_marketing' as reconciliation, coalesce(one.consent_number, other.consent_number) as consent_number,
        'us' as one_side, 'crm' as other_side,
        unnest(case
            when other.consent_number is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.consent_number is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
                if(one.status is distinct from other.status,
                    struct_pack(kind := 'differs', field := 'status', one_value := one.status, other_value := other.status), null),
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at
    from owned_and_marketing_us as one
    full join owned_and_marketing_crm as other using (consent_number)
    join owned_and_marketing_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('tryton_crm') group by key
    ) as delivered on delivered.key = coalesce(one.consent_number, other.consent_number)
    left join {{ ref("consents") }} as records on records.consent_number = coalesce(one.consent_number, other.consent_number) and in_turn(records.consent_number)
    where case when one.consent_number is null then true else records.crm_status is not null or records.status <> 'withdrawn' end
)

select
    found.reconciliation, consent_number, one_side, other_side,
    case
        when difference.kind <> 'duplicate' and since > looked_at - to_seconds(within) then 'late'
        when ignored_until > {{ moment() }} then 'ignored'
        else difference.kind
    end as kind,
    difference.kind as would_be,
    difference.field as field, difference.one_value as one_value, difference.other_value as other_value,
    since, looked_at, greatest(looked_at - since, interval 0 seconds) as age, steward, repair, ignored_until
from (
    select
        owned_and_marketing.*, 1200 as within, 'team:marketing' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, 'concord repair consents_to_crm ' || owned_and_marketing.consent_number)
            when 'missing here' then 'find out who made it in crm; link it with `concord link` or delete it there'
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || owned_and_marketing.consent_number || '` names them'
            else coalesce('held: ' || holds.held_because, 'concord repair consents_to_crm ' || owned_and_marketing.consent_number)
        end as repair
    from owned_and_marketing
    left join holds on holds.consent_number = owned_and_marketing.consent_number and holds.flow = 'consents_to_crm'
    
) as found
left join ignored
    on ignored.key = found.consent_number and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

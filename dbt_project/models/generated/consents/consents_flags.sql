-- generated from pipelines/map by `concord write`; do not edit
-- The consents that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_consents"]) }}

with told as (
    select consent_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("consents") }}
    union all
    select consent_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("consents") }}
)

select
    'consents' as entity, concat_ws('|', consent_number) as key, last_received_at, severity, reason,
    'team:ecommerce' as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/consents.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/consents.yaml'
    ) as next_step
from told

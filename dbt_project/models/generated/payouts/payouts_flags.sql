-- generated from pipelines/map by `concord write`; do not edit
-- The payouts that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_payouts"]) }}

with told as (
    select payout_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("payouts") }}
    union all
    select payout_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("payouts") }}
)

select
    'payouts' as entity, concat_ws('|', payout_number) as key, last_received_at, severity, reason,
    'team:finance' as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/payouts.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/payouts.yaml'
    ) as next_step
from told

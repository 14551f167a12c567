-- generated from pipelines/map by `concord write`; do not edit
-- What the business proofs of payouts found: each difference with its class, age, steward and next step.
{{ config(materialized="table", tags=["reconcile_payouts"]) }}

select
    proof, key, if(since > {{ moment() }} - to_seconds(within), 'late', kind) as kind, kind as would_be, one_value, other_value,
    since, greatest({{ moment() }} - since, interval 0 seconds) as age, steward, next_step
from (
    select 'payout_not_explained' as proof, 86400 as within, 'team:finance' as steward, * from {{ ref("payout_not_explained") }}
    union all by name
    select 'captured_but_not_paid_out' as proof, 864000 as within, 'team:finance' as steward, * from {{ ref("captured_but_not_paid_out") }}
    
)

-- generated from pipelines/map by `concord write`; do not edit
-- What the business proofs of refunds found: each difference with its class, age, steward and next step.
{{ config(materialized="table", tags=["reconcile_refunds"]) }}

select
    proof, key, if(since > {{ moment() }} - to_seconds(within), 'late', kind) as kind, kind as would_be, one_value, other_value,
    since, greatest({{ moment() }} - since, interval 0 seconds) as age, steward, next_step
from (
    select 'refunded_but_not_credited' as proof, 1800 as within, 'team:finance' as steward, * from {{ ref("refunded_but_not_credited") }}
    union all by name
    select 'over_refunded' as proof, 300 as within, 'team:finance' as steward, * from {{ ref("over_refunded") }}
    
)

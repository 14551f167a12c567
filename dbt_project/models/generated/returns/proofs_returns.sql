-- generated from pipelines/map by `concord write`; do not edit
-- What the business proofs of returns found: each difference with its class, age, steward and next step.
{{ config(materialized="table", tags=["reconcile_returns"]) }}

select
    proof, key, if(since > {{ moment() }} - to_seconds(within), 'late', kind) as kind, kind as would_be, one_value, other_value,
    since, greatest({{ moment() }} - since, interval 0 seconds) as age, steward, next_step
from (
    select 'returned_but_not_refunded' as proof, 259200 as within, 'team:service' as steward, * from {{ ref("returned_but_not_refunded") }}
    union all by name
    select 'refunded_but_not_restocked' as proof, 172800 as within, 'team:logistics' as steward, * from {{ ref("refunded_but_not_restocked") }}
    
)

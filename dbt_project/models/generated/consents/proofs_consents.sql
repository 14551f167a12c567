-- generated from pipelines/map by `concord write`; do not edit
-- What the business proofs of consents found: each difference with its class, age, steward and next step.
{{ config(materialized="table", tags=["reconcile_consents"]) }}

select
    proof, key, if(since > {{ moment() }} - to_seconds(within), 'late', kind) as kind, kind as would_be, one_value, other_value,
    since, greatest({{ moment() }} - since, interval 0 seconds) as age, steward, next_step
from (
    select 'shown_without_consent' as proof, 3600 as within, 'team:marketing' as steward, * from {{ ref("shown_without_consent") }}
    
)

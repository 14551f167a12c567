-- generated from pipelines/map by `concord write`; do not edit
-- What the business proofs of payments found: each difference with its class, age, steward and next step.
{{ config(materialized="table", tags=["reconcile_payments"]) }}

select
    proof, key, if(since > {{ moment() }} - to_seconds(within), 'late', kind) as kind, kind as would_be, one_value, other_value,
    since, greatest({{ moment() }} - since, interval 0 seconds) as age, steward, next_step
from (
    select 'paid_but_not_in_the_erp' as proof, 900 as within, 'team:finance' as steward, * from {{ ref("paid_but_not_in_the_erp") }}
    union all by name
    select 'captured_against_ordered' as proof, 900 as within, 'team:finance' as steward, * from {{ ref("captured_against_ordered") }}
    union all by name
    select 'captured_against_invoiced' as proof, 1800 as within, 'team:finance' as steward, * from {{ ref("captured_against_invoiced") }}
    
)

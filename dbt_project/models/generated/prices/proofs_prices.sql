-- generated from pipelines/map by `concord write`; do not edit
-- What the business proofs of prices found: each difference with its class, age, steward and next step.
{{ config(materialized="table", tags=["reconcile_prices"]) }}

select
    proof, key, if(since > {{ moment() }} - to_seconds(within), 'late', kind) as kind, kind as would_be, one_value, other_value,
    since, greatest({{ moment() }} - since, interval 0 seconds) as age, steward, next_step
from (
    select 'overlapping_prices' as proof, 3600 as within, 'team:finance' as steward, * from {{ ref("overlapping_prices") }}
    union all by name
    select 'sold_at_another_price' as proof, 86400 as within, 'team:wholesale' as steward, * from {{ ref("sold_at_another_price") }}
    union all by name
    select 'sold_without_a_list' as proof, 86400 as within, 'team:finance' as steward, * from {{ ref("sold_without_a_list") }}
    
)

-- generated from pipelines/map by `concord write`; do not edit
-- The stock that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_stock"]) }}

with told as (
    select sku, location, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("stock") }}
    union all
    select sku, location, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("stock") }}
)

select
    'stock' as entity, concat_ws('|', sku, location) as key, last_received_at, severity, reason,
    'team:logistics' as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/stock.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/stock.yaml'
    ) as next_step
from told

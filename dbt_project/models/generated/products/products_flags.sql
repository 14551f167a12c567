-- generated from pipelines/map by `concord write`; do not edit
-- The products that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_products"]) }}

with told as (
    select sku, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("products") }}
    union all
    select sku, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("products") }}
)

select
    'products' as entity, concat_ws('|', sku) as key, last_received_at, severity, reason,
    'team:finance' as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/products.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/products.yaml'
    ) as next_step
from told

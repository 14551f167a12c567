-- generated from pipelines/map by `concord write`; do not edit
-- The orders that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_orders"]) }}

with told as (
    select order_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("orders") }}
    union all
    select order_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("orders") }}
)

select
    'orders' as entity, concat_ws('|', order_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'tax_is_part_of_total' then 'team:finance'
        when 'adds_up' then 'team:finance'
        when 'address' then 'team:service'
        else 'team:ecommerce'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/orders.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/orders.yaml'
    ) as next_step
from told

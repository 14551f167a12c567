-- generated from pipelines/map by `concord write`; do not edit
-- The refunds that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_refunds"]) }}

with told as (
    select refund_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("refunds") }}
    union all
    select refund_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("refunds") }}
)

select
    'refunds' as entity, concat_ws('|', refund_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'not_above_the_order' then 'team:finance'
        else 'team:ecommerce'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/refunds.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/refunds.yaml'
    ) as next_step
from told

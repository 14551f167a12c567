-- generated from pipelines/map by `concord write`; do not edit
-- The receipts that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_receipts"]) }}

with told as (
    select receipt_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("receipts") }}
    union all
    select receipt_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("receipts") }}
)

select
    'receipts' as entity, concat_ws('|', receipt_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'taken_in_after_ordered' then 'team:logistics'
        else 'team:logistics'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/receipts.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/receipts.yaml'
    ) as next_step
from told

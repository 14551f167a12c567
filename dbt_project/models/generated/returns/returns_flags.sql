-- generated from pipelines/map by `concord write`; do not edit
-- The returns that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_returns"]) }}

with told as (
    select return_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("returns") }}
    union all
    select return_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("returns") }}
)

select
    'returns' as entity, concat_ws('|', return_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'returned_after_ordered' then 'team:service'
        else 'team:service'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/returns.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/returns.yaml'
    ) as next_step
from told

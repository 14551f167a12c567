-- generated from pipelines/map by `concord write`; do not edit
-- The prices that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_prices"]) }}

with told as (
    select price_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("prices") }}
    union all
    select price_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("prices") }}
)

select
    'prices' as entity, concat_ws('|', price_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'ends_after_it_begins' then 'team:finance'
        else 'team:finance'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/prices.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/prices.yaml'
    ) as next_step
from told

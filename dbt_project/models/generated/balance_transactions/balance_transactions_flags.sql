-- generated from pipelines/map by `concord write`; do not edit
-- The balance_transactions that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_balance_transactions"]) }}

with told as (
    select transaction_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("balance_transactions") }}
    union all
    select transaction_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("balance_transactions") }}
)

select
    'balance_transactions' as entity, concat_ws('|', transaction_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'net_is_less_the_fee' then 'team:finance'
        else 'team:finance'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/balance_transactions.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/balance_transactions.yaml'
    ) as next_step
from told

-- generated from pipelines/map by `concord write`; do not edit
-- What messages about balance_transactions broke: sender, record, reason, and what to do next.
{{ config(materialized="view", tags=["sync_balance_transactions"]) }}

select
    'balance_transactions' as entity, inbox_id, system, stream, remote_id, concat_ws('|', transaction_number) as key, received_at,
    is_rejected, unnest(reasons) as reason,
    case system
        when 'stripe' then 'team:finance'
    end as steward,
    if(
        is_rejected,
        'the whole message waits: mend the record in ' || system || ' and it sends the message again, or correct the map',
        'the last good value stays: mend the field in ' || system || ', or correct the rule in map/entities/balance_transactions.yaml'
    ) as next_step
from {{ ref("stg_balance_transactions") }}
where len(reasons) > 0

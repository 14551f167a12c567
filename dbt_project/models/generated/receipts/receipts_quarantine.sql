-- generated from pipelines/map by `concord write`; do not edit
-- What messages about receipts broke: sender, record, reason, and what to do next.
{{ config(materialized="view", tags=["sync_receipts"]) }}

select
    'receipts' as entity, inbox_id, system, stream, remote_id, concat_ws('|', receipt_number) as key, received_at,
    is_rejected, unnest(reasons) as reason,
    case system
        when 'tryton' then 'team:finance'
        when 'warehouse' then 'team:logistics'
    end as steward,
    if(
        is_rejected,
        'the whole message waits: mend the record in ' || system || ' and it sends the message again, or correct the map',
        'the last good value stays: mend the field in ' || system || ', or correct the rule in map/entities/receipts.yaml'
    ) as next_step
from {{ ref("stg_receipts") }}
where len(reasons) > 0

-- generated from pipelines/map by `concord write`; do not edit
-- What messages about payouts broke: sender, record, reason, and what to do next.
{{ config(materialized="view", tags=["sync_payouts"]) }}

select
    'payouts' as entity, inbox_id, system, stream, remote_id, concat_ws('|', payout_number) as key, received_at,
    is_rejected, unnest(reasons) as reason,
    case system
        when 'stripe' then 'team:finance'
    end as steward,
    if(
        is_rejected,
        'the whole message waits: mend the record in ' || system || ' and it sends the message again, or correct the map',
        'the last good value stays: mend the field in ' || system || ', or correct the rule in map/entities/payouts.yaml'
    ) as next_step
from {{ ref("stg_payouts") }}
where len(reasons) > 0

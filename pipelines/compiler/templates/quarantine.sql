-- generated from pipelines/map by `concord write`; do not edit
-- What messages about << e.name >> broke: sender, record, reason, and what to do next.
{{ config(materialized="view", tags=["sync_<< e.name >>"]) }}

select
    '<< e.name >>' as entity, inbox_id, system, stream, remote_id, concat_ws('|', << e.key | join(", ") >>) as key, received_at,
    is_rejected, unnest(reasons) as reason,
    case system
<% for system in e.senders %>
        when '<< system.system >>' then '<< system.steward >>'
<% endfor %>
    end as steward,
    if(
        is_rejected,
        'the whole message waits: mend the record in ' || system || ' and it sends the message again, or correct the map',
        'the last good value stays: mend the field in ' || system || ', or correct the rule in map/entities/<< e.name >>.yaml'
    ) as next_step
from {{ ref("stg_<< e.name >>") }}
where len(reasons) > 0

-- generated from pipelines/map by `concord write`; do not edit
-- What couriers and people did with << e.name >>.
{{ config(tags=["sync_<< e.name >>"]) }}

select ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
where entity = '<< e.name >>'
<% if e.entity.of %>

union all

-- What hangs on one of << e.entity.of >> goes where that is linked.
select
    ledger_id, key || '/' || part, kind, system, remote_id || '/' || part, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
cross join (select unnest([<< e.entity.each | listed >>]) as part)
where entity = '<< e.entity.of >>' and kind in ('linked', 'unlinked')
<% endif %>

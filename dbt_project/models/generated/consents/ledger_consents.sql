-- generated from pipelines/map by `concord write`; do not edit
-- What couriers and people did with consents.
{{ config(tags=["sync_consents"]) }}

select ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
where entity = 'consents'

union all

-- What hangs on one of customers goes where that is linked.
select
    ledger_id, key || '/' || part, kind, system, remote_id || '/' || part, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
cross join (select unnest(['email', 'sms']) as part)
where entity = 'customers' and kind in ('linked', 'unlinked')

-- generated from pipelines/map by `concord write`; do not edit
-- What couriers and people did with consents.
{{ config(materialized="renewed", meta={"renews": "batch", "column": "ledger_id"}, full_refresh=false, tags=["sync_consents"]) }}

select ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
where {{ in_batch("ledger_id") }} and entity = 'consents'

union all

-- What hangs on one of customers goes where that is linked.
select
    ledger_id, key || '/' || part, kind, system, remote_id || '/' || part, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
cross join (select unnest(['email', 'sms']) as part)
where {{ in_batch("ledger_id") }} and entity = 'customers' and kind in ('linked', 'unlinked')

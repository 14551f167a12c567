-- generated from pipelines/map by `concord write`; do not edit
-- What couriers and people did with sellable.
{{ config(tags=["sync_sellable"]) }}

select ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
where entity = 'sellable'

-- generated from pipelines/map by `concord write`; do not edit
-- What couriers and people did with orders.
{{ config(tags=["sync_orders"]) }}

select ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
where entity = 'orders'

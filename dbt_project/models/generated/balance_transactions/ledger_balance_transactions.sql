-- generated from pipelines/map by `concord write`; do not edit
-- What couriers and people did with balance_transactions.
{{ config(tags=["sync_balance_transactions"]) }}

select ledger_id, key, kind, system, remote_id, field, value, flow, by_whom, happened_at
from {{ source("concord", "ledger") }}
where entity = 'balance_transactions'

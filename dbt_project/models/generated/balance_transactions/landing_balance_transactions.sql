-- generated from pipelines/map by `concord write`; do not edit
-- Every message that speaks of balance_transactions, as it was kept.
{{ config(tags=["sync_balance_transactions"]) }}

select
    inbox_id, system, stream, arrived_by, remote_id, body_hash, file_name, file_occurrence, row_number, received_at, payload
from {{ source("concord", "inbox") }}
where system || '/' || stream in (
        'stripe/balance_transactions'
    )

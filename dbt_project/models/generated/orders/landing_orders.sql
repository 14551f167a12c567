-- generated from pipelines/map by `concord write`; do not edit
-- Every message that speaks of orders, as it was kept.
{{ config(tags=["sync_orders"]) }}

select
    inbox_id, system, stream, arrived_by, remote_id, body_hash, file_name, file_occurrence, row_number, received_at, payload
from {{ source("concord", "inbox") }}
where system || '/' || stream in (
        'shopify/orders',
        'shopify/orders_deleted',
        'shopify/orders_read',
        'tryton/sales',
        'wholesale/order_files'
    )

-- Whatever can have moved a SKU. Where the state is kept by keys, a sync knows what it moved, and this stands for that.
{{ config(materialized="view", tags=["sync_sellable"]) }}

select sku, last_inbox_id, last_received_at from {{ ref("stock") }}
union all
select order_lines.sku, orders.last_inbox_id, orders.last_received_at
from {{ ref("order_lines") }} as order_lines
join {{ ref("orders") }} as orders using (order_number)
union all
select parcel_lines.sku, parcels.last_inbox_id, parcels.last_received_at
from {{ ref("fulfilment_lines") }} as parcel_lines
join {{ ref("fulfilments") }} as parcels using (fulfilment_number)
union all
select received.sku, receipts.last_inbox_id, receipts.last_received_at
from {{ ref("receipt_lines") }} as received
join {{ ref("receipts") }} as receipts using (receipt_number)

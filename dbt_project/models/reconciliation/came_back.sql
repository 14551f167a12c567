-- One row per order and SKU of which anything came back: how many pieces, and how many of them were put on a shelf.
{{ config(materialized="view", tags=["reconcile_returns"]) }}

select
    receipts.order_number, received.sku, min(receipts.return_number) as return_number,
    sum(received.quantity) as quantity, sum(received.restocked) as restocked, max(receipts.last_received_at) as told_at
from {{ ref("receipt_lines") }} as received
join {{ ref("receipts") }} as receipts using (receipt_number)
where received.removed_at is null and receipts.deleted_at is null
group by receipts.order_number, received.sku

-- What came back to a location and was put on the shelf, and when: one row per receipt, SKU and location.
{{ config(
    materialized="view",
    meta={
        "key": "receipt_number, sku, location",
        "sliced_by": "receipt_number",
        "inputs": {
            "receipts": {"by": "receipt_number", "reads": "location, taken_in_at, deleted_at"},
            "receipt_lines": {"by": "receipt_number", "reads": "sku, restocked, removed_at"},
        },
    },
    tags=["sync_sellable"],
) }}

select receipt_number, received.sku, receipts.location, receipts.taken_in_at, cast(sum(received.restocked) as bigint) as quantity
from {{ ref("receipt_lines") }} as received
join {{ ref("receipts") }} as receipts using (receipt_number)
where received.removed_at is null and receipts.deleted_at is null and receipts.taken_in_at is not null
group by all

-- What left a location in a parcel, and when: one row per parcel, SKU and location.
{{ config(
    materialized="view",
    meta={
        "key": "fulfilment_number, sku, location",
        "sliced_by": "fulfilment_number",
        "inputs": {
            "fulfilments": {"by": "fulfilment_number", "reads": "location, shipped_at, deleted_at"},
            "fulfilment_lines": {"by": "fulfilment_number", "reads": "sku, quantity, removed_at"},
        },
    },
    tags=["sync_sellable"],
) }}

select fulfilment_number, parcel_lines.sku, parcels.location, parcels.shipped_at, cast(sum(parcel_lines.quantity) as bigint) as quantity
from {{ ref("fulfilment_lines") }} as parcel_lines
join {{ ref("fulfilments") }} as parcels using (fulfilment_number)
where parcel_lines.removed_at is null and parcels.deleted_at is null and parcels.shipped_at is not null
group by all

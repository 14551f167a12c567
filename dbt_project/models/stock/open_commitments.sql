-- What customers were promised and have not been sent yet, each from where it will be shipped: one row per order, SKU and store.
{{ config(
    materialized="view",
    meta={
        "key": "order_number, sku, store",
        "sliced_by": "order_number",
        "inputs": {
            "orders": {"by": "order_number", "reads": "status, deleted_at"},
            "order_lines": {"by": "order_number", "reads": "sku, quantity, ships_from, is_credit, removed_at"},
            "fulfilments": {"by": "order_number", "reads": "fulfilment_number, shipped_at, deleted_at"},
            "fulfilment_lines": {"by": "fulfilment_number", "of": "fulfilments", "reads": "sku, quantity, removed_at"},
        },
    },
    tags=["sync_sellable"],
) }}
{%- set stores = "('" ~ var("stores") | join("', '") ~ "')" %}

with ordered as (
    select order_number, sku, if(ships_from in {{ stores }}, ships_from, null) as store, sum(order_lines.quantity) as quantity
    from {{ ref("order_lines") }} as order_lines
    join {{ ref("orders") }} as orders using (order_number)
    where order_lines.removed_at is null and orders.deleted_at is null and sku is not null
        and orders.status in ('placed', 'paid') and not coalesce(order_lines.is_credit, false)
    group by all
),

sent as (
    select parcels.order_number, parcel_lines.sku, sum(parcel_lines.quantity) as quantity
    from {{ ref("fulfilment_lines") }} as parcel_lines
    join {{ ref("fulfilments") }} as parcels using (fulfilment_number)
    where parcel_lines.removed_at is null and parcels.deleted_at is null and parcels.shipped_at is not null
    group by all
)

select order_number, sku, store, cast(ordered.quantity - coalesce(sent.quantity, 0) as bigint) as quantity
from ordered
left join sent using (order_number, sku)
where ordered.quantity > coalesce(sent.quantity, 0)

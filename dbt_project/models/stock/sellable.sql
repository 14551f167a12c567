-- What may still be sold of each SKU: counts at their as-of time, plus movements since, less what is promised, less safety.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_sellable"]) }}

with counts as (
    select sku, location, on_hand, counted_at
    from {{ ref("stock") }}
    where deleted_at is null
),

-- Parcels that left a location after it was counted.
shipped_since as (
    select parcel_lines.sku, parcels.location, sum(parcel_lines.quantity) as quantity
    from {{ ref("fulfilment_lines") }} as parcel_lines
    join {{ ref("fulfilments") }} as parcels using (fulfilment_number)
    join counts on counts.sku = parcel_lines.sku and counts.location = parcels.location
    where parcel_lines.removed_at is null and parcels.deleted_at is null and parcels.shipped_at > counts.counted_at
    group by all
),

on_the_shelf as (
    select
        sku,
        sum(counts.on_hand - coalesce(shipped_since.quantity, 0)) as quantity,
        min(counted_at) as counted_at
    from counts
    left join shipped_since using (sku, location)
    group by sku
),

-- What customers were promised and have not been sent yet.
ordered as (
    select order_number, sku, sum(order_lines.quantity) as quantity
    from {{ ref("order_lines") }} as order_lines
    join {{ ref("orders") }} as orders using (order_number)
    where order_lines.removed_at is null and orders.deleted_at is null
        and orders.status in ('placed', 'paid') and not coalesce(order_lines.is_credit, false)
    group by all
),

sent as (
    select parcels.order_number, parcel_lines.sku, sum(parcel_lines.quantity) as quantity
    from {{ ref("fulfilment_lines") }} as parcel_lines
    join {{ ref("fulfilments") }} as parcels using (fulfilment_number)
    where parcel_lines.removed_at is null and parcels.deleted_at is null
    group by all
),

committed as (
    select sku, sum(greatest(ordered.quantity - coalesce(sent.quantity, 0), 0)) as quantity
    from ordered
    left join sent using (order_number, sku)
    group by sku
),

-- Whatever can have moved a SKU.
told as (
    select sku, last_inbox_id, last_received_at from {{ ref("stock") }}
    union all
    select order_lines.sku, orders.last_inbox_id, orders.last_received_at
    from {{ ref("order_lines") }} as order_lines
    join {{ ref("orders") }} as orders using (order_number)
    union all
    select parcel_lines.sku, parcels.last_inbox_id, parcels.last_received_at
    from {{ ref("fulfilment_lines") }} as parcel_lines
    join {{ ref("fulfilments") }} as parcels using (fulfilment_number)
),

moved_by as (
    select sku, max(last_inbox_id) as last_inbox_id, max(last_received_at) as last_received_at
    from told
    group by sku
)

select
    sku, cast(null as varchar) as origin_system,
    cast(greatest(on_the_shelf.quantity - coalesce(committed.quantity, 0) - {{ var("safety_stock") }}, 0) as bigint) as sellable,
    cast(on_the_shelf.quantity as bigint) as on_the_shelf,
    cast(coalesce(committed.quantity, 0) as bigint) as committed,
    counted_at,
    cast(null as timestamptz) as deleted_at, cast(null as varchar) as rejected_since, cast([] as varchar[]) as flags,
    moved_by.last_inbox_id, moved_by.last_received_at
from on_the_shelf
join moved_by using (sku)
left join committed using (sku)
where sku in (select sku from {{ ref("products") }})

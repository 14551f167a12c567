-- What may still be sold of each SKU: counts at their as-of time, plus movements since, less what is promised, less safety.
-- What stands in a store is sold by that store, and to who comes for it: it is counted and promised apart.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_sellable"]) }}
{%- set stores = "('" ~ var("stores") | join("', '") ~ "')" %}

with counts as (
    select sku, location, on_hand, counted_at
    from {{ ref("stock") }}
    where deleted_at is null and on_hand is not null  -- a count that nobody could read is unknown, not nothing
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

-- Goods that came back to a location after it was counted, as far as they were put on the shelf.
restocked_since as (
    select received.sku, receipts.location, sum(received.restocked) as quantity
    from {{ ref("receipt_lines") }} as received
    join {{ ref("receipts") }} as receipts using (receipt_number)
    join counts on counts.sku = received.sku and counts.location = receipts.location
    where received.removed_at is null and receipts.deleted_at is null and receipts.taken_in_at > counts.counted_at
    group by all
),

-- What lies on each location's shelf now.
on_shelves as (
    select
        sku, location, counted_at,
        counts.on_hand - coalesce(shipped_since.quantity, 0) + coalesce(restocked_since.quantity, 0) as quantity
    from counts
    left join shipped_since using (sku, location)
    left join restocked_since using (sku, location)
),

-- What customers were promised and have not been sent yet, each from where it will be shipped.
ordered as (
    select order_number, sku, if(ships_from in {{ stores }}, ships_from, null) as store, sum(order_lines.quantity) as quantity
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
    where parcel_lines.removed_at is null and parcels.deleted_at is null and parcels.shipped_at is not null
    group by all
),

committed as (
    select sku, store, sum(greatest(ordered.quantity - coalesce(sent.quantity, 0), 0)) as quantity
    from ordered
    left join sent using (order_number, sku)
    group by sku, store
),

on_the_shelf as (
    select sku, sum(quantity) as quantity, min(counted_at) as counted_at
    from on_shelves
    where location not in {{ stores }}
    group by sku
),

-- What who comes for it may still have, store by store.
pickup as (
    select
        on_shelves.sku,
        map_from_entries(list(struct_pack(
            store := location, quantity := cast(greatest(on_shelves.quantity - coalesce(committed.quantity, 0), 0) as bigint)
        ) order by location)) as in_stores
    from on_shelves
    left join committed on committed.sku = on_shelves.sku and committed.store = location
    where location in {{ stores }}
    group by on_shelves.sku
),

-- What the storefront said last: how many it offers, and how many lie in baskets at its checkout, which are its own affair.
said as (
    select
        sku,
        arg_max(sellable, order_key) filter (where said.sellable) as shown,
        arg_max(received_at, order_key) filter (where said.sellable) as shown_since,
        arg_max(reserved, order_key) filter (where said.reserved) as reserved
    from {{ ref("stg_sellable") }}
    where not is_rejected
    group by sku
),

-- What it took from us since.
taken as (
    select key as sku, arg_max(value ->> '$.sellable', ledger_id) as shown, max(happened_at) as shown_since
    from {{ ref("ledger_sellable") }}
    where kind = 'delivered'
    group by key
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
    union all
    select received.sku, receipts.last_inbox_id, receipts.last_received_at
    from {{ ref("receipt_lines") }} as received
    join {{ ref("receipts") }} as receipts using (receipt_number)
),

moved_by as (
    select sku, max(last_inbox_id) as last_inbox_id, max(last_received_at) as last_received_at
    from told
    group by sku
)

select
    on_the_shelf.sku, cast(null as varchar) as origin_system,
    cast(greatest(on_the_shelf.quantity - coalesce(committed.quantity, 0) - {{ var("safety_stock") }}, 0) as bigint) as sellable,
    cast(on_the_shelf.quantity as bigint) as on_the_shelf,
    cast(coalesce(committed.quantity, 0) as bigint) as committed,
    cast(said.reserved as bigint) as reserved,
    pickup.in_stores,
    cast(if(taken.shown_since > said.shown_since or said.shown_since is null, taken.shown, cast(said.shown as varchar)) as bigint) as shown,
    greatest(said.shown_since, taken.shown_since) as shown_since,
    counted_at,
    cast(null as timestamptz) as deleted_at, cast(null as varchar) as rejected_since, cast([] as varchar[]) as flags,
    moved_by.last_inbox_id, moved_by.last_received_at
from on_the_shelf
join moved_by on moved_by.sku = on_the_shelf.sku
left join committed on committed.sku = on_the_shelf.sku and committed.store is null
left join pickup on pickup.sku = on_the_shelf.sku
left join said on said.sku = on_the_shelf.sku
left join taken on taken.sku = on_the_shelf.sku
where on_the_shelf.sku in (select sku from {{ ref("products") }})

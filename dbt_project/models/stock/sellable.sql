-- What may still be sold of each SKU: counts at their as-of time, plus movements since, less what is promised, less safety.
-- What stands in a store is sold by that store, and to who comes for it: it is counted and promised apart.
{{ config(
    meta={
        "key": "sku",
        "sliced_by": "sku",
        "inputs": {
            "stock": {"by": "sku", "reads": "location, on_hand, counted_at, deleted_at"},
            "products": {"by": "sku", "reads": "sku"},
            "open_commitments": {"by": "sku"},
            "shipped_stock": {"by": "sku, location", "of": "stock", "since": {"shipped_at": "counted_at"}},
            "restocked_stock": {"by": "sku, location", "of": "stock", "since": {"taken_in_at": "counted_at"}},
        },
        "previous": {"sku": "varchar", "last_inbox_id": "bigint", "last_received_at": "timestamptz"},
    },
    tags=["sync_sellable"],
) }}
{%- set stores = "('" ~ var("stores") | join("', '") ~ "')" %}

with counts as (
    select sku, location, on_hand, counted_at
    from {{ ref("stock") }}
    where deleted_at is null and on_hand is not null  -- a count that nobody could read is unknown, not nothing
),

-- Parcels that left a location after it was counted.
shipped_since as (
    select sku, location, sum(shipped.quantity) as quantity
    from {{ ref("shipped_stock") }} as shipped
    join counts using (sku, location)
    where shipped.shipped_at > counts.counted_at
    group by all
),

-- Goods that came back to a location after it was counted, as far as they were put on the shelf.
restocked_since as (
    select sku, location, sum(restocked.quantity) as quantity
    from {{ ref("restocked_stock") }} as restocked
    join counts using (sku, location)
    where restocked.taken_in_at > counts.counted_at
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

committed as (
    select sku, store, sum(quantity) as quantity
    from {{ ref("open_commitments") }}
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

-- What moved it, now or before.
moved_by as (
    select sku, max(last_inbox_id) as last_inbox_id, max(last_received_at) as last_received_at
    from (
        select sku, last_inbox_id, last_received_at from {{ ref("moved_sellable") }}
        union all
        select * from {{ previous("sellable", columns="sku, last_inbox_id, last_received_at") }}
    )
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

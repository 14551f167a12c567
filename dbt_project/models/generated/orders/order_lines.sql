-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of an order. Its parent's winning message alone decides which exist; one that went has `removed_at`.
{{ config(tags=["sync_orders"]) }}

with parents as (
    select order_number, origin_system, lines_inbox_id, changed_at
    from {{ ref("orders") }}
    where order_number in (select order_number from {{ ref("touched_orders") }})
),

messages as (
    select
        lines.* replace (told.order_number as order_number), parents.origin_system,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at, parents.changed_at as parent_changed_at,
        lines.inbox_id = parents.lines_inbox_id as is_current
    from {{ told_of(ref("stg_orders"), ref("links_orders"), ref("touched_orders"), key="order_number") }} as told
    join parents using (order_number)
    join {{ ref("stg_order_lines") }} as lines using (inbox_id)
    where not told.is_rejected
),

settled as (
    select
        order_number, line_id,
        {{ latest("sku", owner="system = origin_system") }} as sku,
        {{ latest("title", owner="system = origin_system") }} as title,
        {{ latest("quantity", owner="system = origin_system") }} as quantity,
        {{ latest("unit_price", owner="system = origin_system") }} as unit_price,
        {{ latest("shown_price", owner="system = origin_system") }} as shown_price,
        {{ latest("discount", owner="system = origin_system") }} as discount,
        {{ latest("tax_rate", owner="system = origin_system") }} as tax_rate,
        {{ latest("properties", owner="system = origin_system") }} as properties,
        {{ latest("is_credit", owner="system = origin_system") }} as is_credit,
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parent_changed_at)) as removed_at
    from messages
    group by order_number, line_id
)
,

-- The places whose condition each line fits, as its record stands now.
routed as (
    select settled.*, if(quantity > 0 and not coalesce(is_credit, false), list_filter([if(orders.pickup_location is not null, 'STORE', null), if(products.is_dropshipped and orders.pickup_location is null, 'SUPPLIER', null), if(orders.pickup_location is null and not coalesce(products.is_dropshipped, false) and orders.country not in ('FR', 'BE') and orders.total <= 500, '3PL', null)], lambda place: place is not null), null) as places
    from settled
    left join (
        select order_number as key_of_orders, struct_pack(country := country, pickup_location := pickup_location, total := total) as orders
        from {{ ref("orders") }}
        where order_number in (select order_number from {{ ref("touched_orders") }})
    ) as of_orders on key_of_orders = settled.order_number
    left join (
        select sku as key_of_products, struct_pack(is_dropshipped := is_dropshipped) as products
        from {{ ref("products") }}
    ) as of_products on key_of_products = settled.sku
)

select
    order_number,
    line_id,
    cast(sku as varchar) as sku,
    cast(title as varchar) as title,
    cast(quantity as bigint) as quantity,
    cast(unit_price as decimal(38, 10)) as unit_price,
    cast(shown_price as decimal(38, 10)) as shown_price,
    cast(discount as decimal(38, 10)) as discount,
    cast(tax_rate as decimal(38, 10)) as tax_rate,
    cast(properties as varchar) as properties,
    cast(is_credit as boolean) as is_credit,
    coalesce(sku in (select sku from {{ ref("products") }}), false) as is_sku_known,
    case len(places) when 0 then 'MAIN' when 1 then places[1] end as ships_from,
    if(len(places) > 1, array_to_string(places, ' and '), null) as rival_places,
    position, removed_at
from routed

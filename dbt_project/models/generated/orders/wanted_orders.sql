-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of orders: one row per flow, destination and record.
{{ config(tags=["sync_orders"]) }}

with records as (
    select * from {{ ref("orders") }} where order_number in (select order_number from {{ ref("touched_orders") }})
),

order_lines as (
    select
        order_number,
        '[' || string_agg(line, ',' order by position, line_id) || ']' as lines,
        '[' || string_agg(line, ',' order by position, line_id) filter (where ships_from = '3PL') || ']' as lines_of_orders_to_3pl,
        '[' || string_agg(line, ',' order by position, line_id) filter (where ships_from = 'SUPPLIER') || ']' as lines_of_orders_to_supplier,
        coalesce(
            min('waits for ' || sku || ', which no one has told us of') filter (where not is_sku_known),
            min('its line ' || position || ' names no sku; name it where the line was written, or say in map/systems which one such lines mean') filter (where sku is null),
            min('its line ' || position || ' fits ' || rival_places || '; make their conditions exclude each other in map/entities/order_lines.yaml'),
            null
        ) as waits_for
    from (
        -- One text a line: lists of structs would take ten times the memory.
        select *, cast(to_json(struct_pack(
            line_id := line_id,
            ships_from := ships_from,
            sku := sku,
            title := title,
            quantity := cast(quantity as varchar),
            unit_price := as_travelling(unit_price),
            shown_price := as_travelling(shown_price),
            discount := as_travelling(discount),
            tax_rate := as_travelling(tax_rate),
            properties := properties,
            is_credit := cast(is_credit as varchar)
        )) as varchar) as line
        from {{ ref("order_lines") }}
        where removed_at is null and order_number in (select order_number from records)
    )
    group by order_number
),

-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as order_number, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_orders") }}
    cross join (select unnest(['orders_to_erp', 'orders_to_3pl', 'orders_to_supplier']) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
),

links as (
    select key as order_number, system, max(remote_id) as remote_id
    from {{ ref("links_orders") }}
    where key in (select order_number from records)
    group by key, system
),

conflicts as (
    select order_number, system, bool_or(on_foreign_write = 'restore') as is_restored,
        max('foreign write: ' || system || ' changed ' || field || ' from ' || coalesce(value_before, 'nothing') || ' to ' || coalesce(value_now, 'nothing') || '; a person decides')
            filter (where on_foreign_write = 'hold') as held_because
    from {{ ref("orders_conflicts") }}
    group by order_number, system
),

orders_to_erp as (
    select
        'orders_to_erp' as flow,
        'tryton' as system,
        records.order_number,
        coalesce(status in ('paid', 'refunded'), false) and records.deleted_at is null as is_wanted,
        'cancel' as action_on_leave,
        to_json(struct_pack(
            order_number := records.order_number,
            lines := cast(coalesce(order_lines.lines, '[]') as json),
            number := records.number,
            status := records.status,
            currency := records.currency,
            placed_at := strftime(records.placed_at, '%Y-%m-%dT%H:%M:%S.%fZ'),
            total := as_travelling(records.total),
            tax_total := as_travelling(records.tax_total),
            discount_total := as_travelling(records.discount_total),
            shipping_total := as_travelling(records.shipping_total),
            prices_include_tax := cast(records.prices_include_tax as varchar),
            email := records.email,
            phone := records.phone,
            customer := records.customer,
            shop_number := records.shop_number,
            name := records.name,
            street := records.street,
            city := records.city,
            postcode := records.postcode,
            country := records.country,
            channel := records.channel,
            marketplace_number := records.marketplace_number,
            note := records.note,
            attributes := records.attributes
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            if(is_on_hold, 'held_by_the_shop: the shop holds it; it goes on when the shop lets it go', null),
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('number', 'status', 'currency', 'placed_at', 'total', 'tax_total', 'discount_total', 'shipping_total', 'prices_include_tax', 'email', 'phone', 'customer', 'shop_number', 'name', 'street', 'city', 'postcode', 'country', 'channel', 'marketplace_number', 'note', 'attributes'))[1],
            order_lines.waits_for,
            conflicts.held_because,
            null
        ) as held_because,
        case
            when conflicts.is_restored then 'restore'
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join order_lines using (order_number)
    left join asked on asked.order_number = records.order_number and asked.of_flow = 'orders_to_erp'
    left join links on links.order_number = records.order_number and links.system = 'tryton'
    left join conflicts on conflicts.order_number = records.order_number and conflicts.system = 'tryton'
),
orders_to_3pl as (
    select
        'orders_to_3pl' as flow,
        'warehouse' as system,
        records.order_number,
        coalesce(status = 'paid', false) and records.deleted_at is null and order_lines.lines_of_orders_to_3pl is not null as is_wanted,
        'cancel' as action_on_leave,
        to_json(struct_pack(
            order_number := records.order_number,
            lines := cast(coalesce(order_lines.lines_of_orders_to_3pl, '[]') as json),
            number := records.number,
            placed_at := strftime(records.placed_at, '%Y-%m-%dT%H:%M:%S.%fZ'),
            email := records.email,
            phone := records.phone,
            name := records.name,
            street := records.street,
            city := records.city,
            postcode := records.postcode,
            country := records.country
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            if(is_on_hold, 'held_by_the_shop: the shop holds it; it goes on when the shop lets it go', null),
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('number', 'placed_at', 'email', 'phone', 'name', 'street', 'city', 'postcode', 'country'))[1],
            order_lines.waits_for,
            conflicts.held_because,
            null
        ) as held_because,
        case
            when conflicts.is_restored then 'restore'
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join order_lines using (order_number)
    left join asked on asked.order_number = records.order_number and asked.of_flow = 'orders_to_3pl'
    left join links on links.order_number = records.order_number and links.system = 'warehouse'
    left join conflicts on conflicts.order_number = records.order_number and conflicts.system = 'warehouse'
),
orders_to_supplier as (
    select
        'orders_to_supplier' as flow,
        'supplier' as system,
        records.order_number,
        coalesce(status = 'paid', false) and records.deleted_at is null and order_lines.lines_of_orders_to_supplier is not null as is_wanted,
        'cancel' as action_on_leave,
        to_json(struct_pack(
            order_number := records.order_number,
            lines := cast(coalesce(order_lines.lines_of_orders_to_supplier, '[]') as json),
            number := records.number,
            placed_at := strftime(records.placed_at, '%Y-%m-%dT%H:%M:%S.%fZ'),
            name := records.name,
            street := records.street,
            city := records.city,
            postcode := records.postcode,
            country := records.country
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            if(is_on_hold, 'held_by_the_shop: the shop holds it; it goes on when the shop lets it go', null),
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('number', 'placed_at', 'name', 'street', 'city', 'postcode', 'country'))[1],
            order_lines.waits_for,
            conflicts.held_because,
            null
        ) as held_because,
        case
            when conflicts.is_restored then 'restore'
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join order_lines using (order_number)
    left join asked on asked.order_number = records.order_number and asked.of_flow = 'orders_to_supplier'
    left join links on links.order_number = records.order_number and links.system = 'supplier'
    left join conflicts on conflicts.order_number = records.order_number and conflicts.system = 'supplier'
)

select * from orders_to_erp
union all
select * from orders_to_3pl
union all
select * from orders_to_supplier

-- generated from pipelines/map by `concord write`; do not edit
-- Which price lists the buyer of each sale had when it was made: one row per sale and list, in the order of their rules.
{{ config(materialized="view", tags=["reconcile_prices"]) }}

with sales as (
    select
        order_number, placed_at as sold_at, customer as number, origin_system, markets.price_list as market,
        struct_pack(customer := customer, origin_system := origin_system) as orders
    from {{ ref("orders") }} as records
    left join {{ ref("prices_markets") }} as markets on markets.country = records.country and markets.currency = coalesce(records.shown_currency, records.currency)
    where deleted_at is null
),

-- Who it is whom a channel knows by this number.
people as (
    select known.system, known.remote_id, min(customer_number) as customer_number
    from (select customer_number, unnest(known_as) as known from {{ ref("customers") }})
    group by all
),

-- What price_group of a buyer was, and since when; before the first word on it, that word counts.
past_price_group as (
    select customer_number, cast(value as varchar) as price_group, since
    from {{ ref("customers_past") }}
    where field = 'price_group'
),

-- A person's decision on it stands for all times.
decided_price_group as (
    select key as customer_number
    from {{ ref("ledger_customers") }}
    where field = 'price_group' and kind in ('decided', 'revoked')
    qualify row_number() over (partition by key order by ledger_id desc) = 1 and kind = 'decided'
),

-- What shop_group of a buyer was, and since when; before the first word on it, that word counts.
past_shop_group as (
    select customer_number, cast(value as varchar) as shop_group, since
    from {{ ref("customers_past") }}
    where field = 'shop_group'
),

-- A person's decision on it stands for all times.
decided_shop_group as (
    select key as customer_number
    from {{ ref("ledger_customers") }}
    where field = 'shop_group' and kind in ('decided', 'revoked')
    qualify row_number() over (partition by key order by ledger_id desc) = 1 and kind = 'decided'
),

-- A list is somebody's from the first day of its prices to the last.
lists as (
    select
        price_list, account, origin_system,
        min(coalesce(valid_from, timestamptz '0001-01-01')) as begins_at, max(coalesce(valid_to, timestamptz '9999-01-01')) as ends_at
    from {{ ref("prices") }}
    where deleted_at is null and amount is not null
    group by all
),

buyers as (
    select
        sales.*,
        struct_pack(
            price_group := if(decided_price_group.customer_number is null, past_price_group.price_group, now_known.price_group),
            shop_group := if(decided_shop_group.customer_number is null, past_shop_group.shop_group, now_known.shop_group)
        ) as customers
    from sales
    left join people on people.system = sales.origin_system and people.remote_id = sales.number
    left join {{ ref("customers") }} as now_known on now_known.customer_number = people.customer_number
    asof left join past_price_group on past_price_group.customer_number = people.customer_number and past_price_group.since <= sales.sold_at
    left join decided_price_group on decided_price_group.customer_number = people.customer_number
    asof left join past_shop_group on past_shop_group.customer_number = people.customer_number and past_shop_group.since <= sales.sold_at
    left join decided_shop_group on decided_shop_group.customer_number = people.customer_number
)

select
    order_number, 1 as place, 'contract' as rule, true as is_alone,
    lists.price_list
from buyers
join lists on lists.account = orders.customer and lists.origin_system = orders.origin_system
    and buyers.sold_at >= lists.begins_at and buyers.sold_at < lists.ends_at

union all

select
    order_number, 2 as place, 'group' as rule, false as is_alone,
    cast(customers.price_group as varchar) as price_list
from buyers
where (customers.price_group) is not null

union all

select
    order_number, 3 as place, 'tag' as rule, false as is_alone,
    cast(customers.shop_group as varchar) as price_list
from buyers
where (customers.shop_group) is not null

union all

select
    order_number, 4 as place, 'market' as rule, false as is_alone,
    cast(market as varchar) as price_list
from buyers
where (market) is not null

union all

select
    order_number, 5 as place, 'channel' as rule, false as is_alone,
    cast(if(orders.origin_system = 'wholesale', 'WHOLESALE', null) as varchar) as price_list
from buyers
where (if(orders.origin_system = 'wholesale', 'WHOLESALE', null)) is not null

union all

select
    order_number, 6 as place, 'everybody' as rule, false as is_alone,
    cast('BASE' as varchar) as price_list
from buyers
where ('BASE') is not null

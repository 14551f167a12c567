-- One row per price list that buyers have and in which nothing was agreed, and per currency sold in that no list of theirs counts in.
{{ config(materialized="view", tags=["reconcile_prices"]) }}

with sales as (
    select order_number, country, currency, coalesce(shown_currency, currency) as shown_currency, last_received_at
    from {{ ref("orders") }}
    where status <> 'cancelled' and deleted_at is null
        and order_number in (select order_number from {{ ref("order_lines") }} where removed_at is null and not coalesce(is_credit, false))
),

lists as (
    select distinct price_list, currency from {{ ref("prices") }} where deleted_at is null and amount is not null
),

-- Whether a list was agreed on at all, and whether it counts in what the buyer paid or saw.
asked as (
    select
        order_number, country, sales.currency, shown_currency, last_received_at, buyers.price_list, rule,
        lists.price_list is not null as is_agreed, coalesce(lists.currency in (sales.currency, shown_currency), false) as fits
    from sales
    join {{ ref("prices_buyers") }} as buyers using (order_number)
    left join lists using (price_list)
)

select
    price_list as key,
    'no such list' as kind,
    count(distinct order_number) || ' orders, the newest ' || arg_max(order_number, last_received_at) as one_value,
    'the list of their ' || string_agg(distinct rule, ', ') as other_value,
    max(last_received_at) as since,
    'agree on prices in a list named ' || price_list || ', or correct the name where it was given' as next_step
from asked
where not is_agreed
group by price_list

union all

select
    shown_currency,
    'no list in its currency',
    count(*) || ' orders, the newest ' || arg_max(order_number, last_received_at),
    'sold to ' || string_agg(distinct coalesce(country, 'nowhere'), ', ' order by coalesce(country, 'nowhere')),
    max(last_received_at),
    'agree on a list in ' || shown_currency || '; what was sold in it was held against no price, and no rate is made up'
from (
    select order_number, country, shown_currency, last_received_at
    from asked
    group by all
    having not bool_or(fits)
)
group by shown_currency

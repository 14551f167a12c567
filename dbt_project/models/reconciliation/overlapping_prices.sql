-- One row per price that contradicts another: of one SKU, list and quantity at one time, or in another currency than its list.
{{ config(materialized="view", tags=["reconcile_prices"]) }}

with agreed as (
    select
        price_number, price_list, sku, amount, currency, last_received_at, place_of(price_list, sku, from_quantity) as place,
        coalesce(valid_from, timestamptz '0001-01-01') as valid_from, coalesce(valid_to, timestamptz '9999-01-01') as valid_to,
        as_travelling(amount) || ' ' || currency
            || coalesce(' from ' || strftime(valid_from, '%Y-%m-%d %H:%M'), '') || coalesce(' to ' || strftime(valid_to, '%Y-%m-%d %H:%M'), '') as told
    from {{ ref("prices") }}
    where deleted_at is null and amount is not null and coalesce(valid_to > now(), true)
),

currencies as (
    select price_list, mode(currency order by currency) as currency
    from agreed
    group by price_list
)

select
    one.price_number as key,
    if(one.amount = other.amount and one.currency = other.currency, 'told twice', 'overlaps') as kind,
    one.told as one_value,
    other.told as other_value,
    greatest(one.last_received_at, other.last_received_at) as since,
    'end one of the two before the other begins: ' || one.price_number || ' or ' || other.price_number as next_step
from agreed as one
join agreed as other on other.place = one.place and other.price_number > one.price_number
    and one.valid_from < other.valid_to and other.valid_from < one.valid_to

union all

select
    price_number,
    'another currency',
    agreed.told,
    currencies.currency,
    last_received_at,
    'make it a price of a list in ' || agreed.currency || ', or correct its currency'
from agreed
join currencies using (price_list)
where agreed.currency <> currencies.currency

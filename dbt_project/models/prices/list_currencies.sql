-- In which currency each price list counts at this moment: the one of most of its prices.
{{ config(
    meta={
        "key": "price_list",
        "sliced_by": "price_list",
        "inputs": {
            "agreed_prices": {"by": "price_list", "reads": "currency, valid_from, valid_to, deleted_at"},
        },
        "turns_at": "turns_at",
    },
    tags=["sync_selling_prices"],
) }}

with agreed as (
    select
        price_list, currency, valid_from, valid_to,
        coalesce(valid_from <= {{ moment() }}, true) and coalesce(valid_to > {{ moment() }}, true) as is_valid_now
    from {{ ref("agreed_prices") }}
    where deleted_at is null and price_list is not null
)

select
    price_list, mode(currency order by currency) filter (where is_valid_now) as currency,
    nullif(least(
        coalesce(min(valid_from) filter (where valid_from > {{ moment() }}), timestamptz 'infinity'),
        coalesce(min(valid_to) filter (where valid_to > {{ moment() }}), timestamptz 'infinity')
    ), timestamptz 'infinity') as turns_at
from agreed
group by price_list

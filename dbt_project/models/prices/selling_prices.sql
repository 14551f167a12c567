-- What each SKU costs now in each price list, from each quantity on: the one agreed price that is valid at this moment.
{{ config(
    meta={
        "key": "place",
        "sliced_by": "place",
        "inputs": {
            "agreed_prices": {"by": "place"},
            "list_currencies": {"by": "price_list", "of": "agreed_prices", "reads": "currency"},
        },
        "previous": {
            "place": "varchar", "price_list": "varchar", "sku": "varchar", "from_quantity": "bigint",
            "last_inbox_id": "bigint", "last_received_at": "timestamptz",
        },
    },
    tags=["sync_selling_prices"],
) }}

-- A place that a price ever had is never forgotten, for what was shown there must be taken back.
with places as (
    select price_list, sku, from_quantity, place from {{ ref("agreed_prices") }} where place is not null
    union
    select * from {{ previous("selling_prices", columns="price_list, sku, from_quantity, place") }}
),

agreed as (
    select
        *, coalesce(valid_from <= {{ moment() }}, true) and coalesce(valid_to > {{ moment() }}, true) and deleted_at is null as is_valid_now
    from {{ ref("agreed_prices") }}
    where place is not null
),

-- Where two are valid at once, the one that began later stands here and goes nowhere.
valid as (
    select
        place,
        arg_max(struct_pack(amount := amount, currency := currency, includes_tax := includes_tax, flags := flags, is_sku_known := is_sku_known, origin_system := origin_system), (coalesce(valid_from, timestamptz '1970-01-01'), price_number)) as price,
        count(distinct (amount, currency, includes_tax)) > 1 as is_doubtful,
        string_agg(price_number, ' and ' order by price_number) as price_numbers
    from agreed
    where is_valid_now
    group by place
),

markets as (
    select price_list, string_agg(country, ' ' order by country) as countries
    from {{ ref("prices_markets") }}
    group by price_list
),

-- A price that began or ended by itself was caused by its time.
turns as (
    select
        place, min(turn) filter (where turn > {{ moment() }}) as turns_at, max(turn) filter (where turn <= {{ moment() }}) as turned_at
    from (select place, unnest([valid_from, valid_to]) as turn from agreed where deleted_at is null)
    group by place
),

-- What the shop says of a price is a cause, too: of its being sent back.
told as (
    select place, max(last_inbox_id) as last_inbox_id, max(last_received_at) as last_received_at
    from (
        select place, last_inbox_id, last_received_at from {{ ref("moved_selling_prices") }}
        union all
        select place, inbox_id, null from {{ ref("stg_selling_prices") }} where not is_rejected
        union all
        select * from {{ previous("selling_prices", columns="place, last_inbox_id, last_received_at") }}
    )
    group by place
)

select
    places.place, places.price_list, places.sku, places.from_quantity,
    valid.price.origin_system as origin_system, valid.price.amount as amount, valid.price.currency as currency,
    valid.price.includes_tax as includes_tax, markets.countries, valid.place is not null as is_valid, turns.turns_at,
    cast(null as timestamptz) as deleted_at, cast(null as varchar) as rejected_since,
    list_filter(
        [
            if(is_doubtful, 'amount is told by ' || price_numbers || ', which are valid at the same time; end one of them', null),
            if(valid.price.currency <> currencies.currency, 'currency ' || valid.price.currency || ' is not the ' || currencies.currency || ' in which ' || places.price_list || ' counts; correct one of them', null),
            if(valid.place is not null and valid.price.amount is null, 'amount is missing in ' || price_numbers, null),
            if(not valid.price.is_sku_known, 'sku ' || places.sku || ' is no product that anybody told us of', null)
        ] || coalesce(valid.price.flags, []),
        lambda flag: flag is not null
    ) as flags,
    told.last_inbox_id, greatest(told.last_received_at, turns.turned_at) as last_received_at
from places
left join valid using (place)
left join {{ ref("list_currencies") }} as currencies on currencies.price_list = places.price_list
left join markets on markets.price_list = places.price_list
left join turns using (place)
left join told using (place)

-- What is agreed, and of which place in the price lists it speaks: one row per price.
{{ config(
    materialized="view",
    meta={
        "key": "price_number",
        "sliced_by": "price_number",
        "inputs": {
            "prices": {
                "by": "price_number",
                "reads": "price_list, sku, from_quantity, amount, currency, includes_tax, valid_from, valid_to, is_sku_known, flags, origin_system, deleted_at",
            },
        },
    },
    tags=["sync_selling_prices"],
) }}

select
    price_number, place_of(price_list, sku, from_quantity) as place, price_list, sku, from_quantity, amount, currency, includes_tax,
    valid_from, valid_to, is_sku_known, flags, origin_system, deleted_at
from {{ ref("prices") }}

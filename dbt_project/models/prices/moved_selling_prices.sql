-- Whatever can have changed a place. Where the state is kept by keys, a sync knows what it changed, and this stands for that.
{{ config(materialized="view", tags=["sync_selling_prices"]) }}

select place_of(price_list, sku, from_quantity) as place, last_inbox_id, last_received_at from {{ ref("prices") }}

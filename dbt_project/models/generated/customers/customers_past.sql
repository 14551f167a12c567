-- generated from pipelines/map by `concord write`; do not edit
-- What customers were, and since when: one row per change of a field by which sales are priced. Its first word counts for all time before.
{{ config(materialized="view", tags=["reconcile_prices"]) }}

select
    customer_number, 'price_group' as field, inbox_id, cast(price_group as varchar) as value,
    if(row_number() over words_on_price_group = 1, timestamptz '0001-01-01', occurred_at) as since
from (
    select coalesce(links.key, told.customer_number) as customer_number, price_group, occurred_at, order_key, inbox_id
    from {{ ref("stg_customers") }} as told
    left join {{ ref("links_customers") }} as links using (system, remote_id)
    where said.price_group and broken.price_group is null and not is_rejected and system in ('tryton')
)
window words_on_price_group as (partition by customer_number order by order_key, inbox_id)
qualify row_number() over words_on_price_group = 1 or price_group is distinct from lag(price_group) over words_on_price_group

union all

select
    customer_number, 'shop_group' as field, inbox_id, cast(shop_group as varchar) as value,
    if(row_number() over words_on_shop_group = 1, timestamptz '0001-01-01', occurred_at) as since
from (
    select coalesce(links.key, told.customer_number) as customer_number, shop_group, occurred_at, order_key, inbox_id
    from {{ ref("stg_customers") }} as told
    left join {{ ref("links_customers") }} as links using (system, remote_id)
    where said.shop_group and broken.shop_group is null and not is_rejected and system in ('shopify')
)
window words_on_shop_group as (partition by customer_number order by order_key, inbox_id)
qualify row_number() over words_on_shop_group = 1 or shop_group is distinct from lag(shop_group) over words_on_shop_group

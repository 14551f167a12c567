-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on selling_prices and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_selling_prices"]) }}

with
deliveries as (
    select key as place, system, max(happened_at) as delivered_at
    from {{ ref("ledger_selling_prices") }}
    where kind in ('delivered', 'held') and key in (select place from {{ ref("touched_selling_prices") }})
    group by key, system
),

-- What each system said since it last took a delivery: the first of it shows how it keeps what it took.
messages as (
    select told.*
    from {{ told_of(ref("stg_selling_prices"), ref("links_selling_prices"), ref("touched_selling_prices"), key="place") }} as told
    left join deliveries using (place, system)
    where not is_rejected and (delivered_at is null or received_at >= delivered_at)
),

heard as (
    select
        place, 'shopify' as system, 'amount' as field, 'restore' as on_foreign_write,
        cast(arg_min(amount, inbox_id) as varchar) as value_before,
        cast(arg_max(amount, inbox_id) as varchar) as value_now,
        max(received_at) as seen_at
    from messages
    where system = 'shopify' and said.amount
    group by place
    
),

ours as (
    select place, 'shopify' as system, 'amount' as field, cast(amount as varchar) as our_value
    from {{ ref("selling_prices") }}
    where place in (select place from heard)
    
)

select *, 'team:ecommerce' as steward
from (
    select heard.*, ours.our_value
    from heard
    join ours using (place, system, field)
    where value_now is distinct from value_before and value_now is distinct from our_value
)

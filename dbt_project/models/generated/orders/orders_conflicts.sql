-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on orders and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_orders"]) }}

with
deliveries as (
    select key as order_number, system, max(happened_at) as delivered_at
    from {{ ref("ledger_orders") }}
    where kind in ('delivered', 'held') and key in (select order_number from {{ ref("touched_orders") }})
    group by key, system
),

-- What each system said since it last took a delivery: the first of it shows how it keeps what it took.
messages as (
    select told.*
    from {{ told_of(ref("stg_orders"), ref("links_orders"), ref("touched_orders"), key="order_number") }} as told
    left join deliveries using (order_number, system)
    where not is_rejected and (delivered_at is null or received_at >= delivered_at)
),

heard as (
    select
        order_number, 'tryton' as system, 'currency' as field, 'hold' as on_foreign_write,
        cast(arg_min(currency, inbox_id) as varchar) as value_before,
        cast(arg_max(currency, inbox_id) as varchar) as value_now,
        max(received_at) as seen_at
    from messages
    where system = 'tryton' and said.currency
    group by order_number
    union all
    select
        order_number, 'tryton' as system, 'total' as field, 'restore' as on_foreign_write,
        cast(arg_min(total, inbox_id) as varchar) as value_before,
        cast(arg_max(total, inbox_id) as varchar) as value_now,
        max(received_at) as seen_at
    from messages
    where system = 'tryton' and said.total
    group by order_number
    
),

ours as (
    select order_number, 'tryton' as system, 'currency' as field, cast(currency as varchar) as our_value
    from {{ ref("orders") }}
    where order_number in (select order_number from heard)
    union all
    select order_number, 'tryton' as system, 'total' as field, cast(total as varchar) as our_value
    from {{ ref("orders") }}
    where order_number in (select order_number from heard)
    
),

-- The newest word of a status's owner lies before what we hold and before what it said itself, and no person has decided.
steps_back as (
    select
        order_number, system, 'status' as field, 'forbidden' as on_foreign_write,
        our_value as value_before, arg_max(status, order_key) as value_now, arg_max(received_at, order_key) as seen_at, our_value
    from {{ told_of(ref("stg_orders"), ref("links_orders"), ref("touched_orders"), key="order_number") }} as told
    join (select order_number, origin_system, status as our_value from {{ ref("orders") }}) as ours using (order_number)
    where said.status and broken.status is null and status is not null and not is_rejected and system = origin_system
        and order_number not in (
            select key from {{ ref("ledger_orders") }}
            where field = 'status' and kind in ('decided', 'revoked')
            group by key having arg_max(kind, ledger_id) = 'decided'
        )
    group by order_number, system, our_value
    having list_position(['placed', 'paid', 'refunded', 'cancelled'], arg_max(status, order_key)) < least(
        list_position(['placed', 'paid', 'refunded', 'cancelled'], our_value),
        max(list_position(['placed', 'paid', 'refunded', 'cancelled'], status))
    )
    
)

select *, 'team:ecommerce' as steward
from (
    select heard.*, ours.our_value
    from heard
    join ours using (order_number, system, field)
    where value_now is distinct from value_before and value_now is distinct from our_value
    union all by name
    select * from steps_back
)

-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of an order. Its parent's winning message alone decides which exist; one that went has `removed_at`.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "order_number", "touched": "touched_orders", "at_once": {"touched_orders": 100000, "stg_order_lines": 300000}},
    tags=["sync_orders"],
) }}
-- depends_on: {{ ref("touched_orders") }}

with parents as (
    select order_number, origin_system, lines_inbox_id, changed_at
    from {{ ref("orders") }}
    where order_number in (select order_number from temp.keys_in_turn)
),

messages as (
    select
        lines.* replace (told.order_number as order_number), parents.origin_system,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at,
        lines.inbox_id = parents.lines_inbox_id as is_current
    from {{ told_of(ref("stg_orders"), ref("links_orders"), key="order_number") }} as told
    join parents using (order_number)
    join {{ ref("stg_order_lines") }} as lines using (inbox_id)
    where not told.is_rejected
),

settled as (
    select
        order_number, line_id,
        {{ latest("sku", owner="system = origin_system") }} as sku,
        {{ latest("title", owner="system = origin_system") }} as title,
        {{ latest("quantity", owner="system = origin_system") }} as quantity,
        {{ latest("unit_price", owner="system = origin_system") }} as unit_price,
        {{ latest("discount", owner="system = origin_system") }} as discount,
        {{ latest("tax_rate", owner="system = origin_system") }} as tax_rate,
        {{ latest("is_credit", owner="system = origin_system") }} as is_credit,
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parents.changed_at)) as removed_at
    from messages
    join parents using (order_number, origin_system)
    group by order_number, line_id
)

select
    order_number,
    line_id,
    cast(sku as varchar) as sku,
    cast(title as varchar) as title,
    cast(quantity as bigint) as quantity,
    cast(unit_price as decimal(38, 10)) as unit_price,
    cast(discount as decimal(38, 10)) as discount,
    cast(tax_rate as decimal(38, 10)) as tax_rate,
    cast(is_credit as boolean) as is_credit,
    coalesce(sku in (select sku from {{ ref("products") }}), false) as is_sku_known,
    position, removed_at
from settled

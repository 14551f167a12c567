-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of a return. Its parent's winning message alone decides which exist; one that went has `removed_at`.
{{ config(tags=["sync_returns"]) }}

with parents as (
    select return_number, origin_system, lines_inbox_id, changed_at
    from {{ ref("returns") }}
    where return_number in (select return_number from {{ ref("touched_returns") }})
),

messages as (
    select
        lines.* replace (told.return_number as return_number), parents.origin_system,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at, parents.changed_at as parent_changed_at,
        lines.inbox_id = parents.lines_inbox_id as is_current
    from {{ told_of(ref("stg_returns"), ref("links_returns"), ref("touched_returns"), key="return_number") }} as told
    join parents using (return_number)
    join {{ ref("stg_return_lines") }} as lines using (inbox_id)
    where not told.is_rejected
),

settled as (
    select
        return_number, line_id,
        {{ latest("order_line", owner="system = 'shopify'") }} as order_line,
        {{ latest("sku", owner="system = 'shopify'") }} as sku,
        {{ latest("quantity", owner="system = 'shopify'") }} as quantity,
        {{ latest("reason", owner="system = 'shopify'") }} as reason,
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parent_changed_at)) as removed_at
    from messages
    group by return_number, line_id
)

select
    return_number,
    line_id,
    cast(order_line as varchar) as order_line,
    cast(sku as varchar) as sku,
    cast(quantity as bigint) as quantity,
    cast(reason as varchar) as reason,
    position, removed_at
from settled

-- generated from pipelines/map by `concord write`; do not edit
-- One row per line of an order that a refund takes back. Its parent's winning message alone decides which exist; one that went has `removed_at`.
{{ config(tags=["sync_refunds"]) }}

with parents as (
    select refund_number, origin_system, origin_among_payments, lines_inbox_id, changed_at
    from {{ ref("refunds") }}
    where refund_number in (select refund_number from {{ ref("touched_refunds") }})
),

messages as (
    select
        lines.* replace (told.refund_number as refund_number), parents.origin_system, parents.origin_among_payments,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at, parents.changed_at as parent_changed_at,
        lines.inbox_id = parents.lines_inbox_id as is_current
    from {{ told_of(ref("stg_refunds"), ref("links_refunds"), ref("touched_refunds"), key="refund_number") }} as told
    join parents using (refund_number)
    join {{ ref("stg_refund_lines") }} as lines using (inbox_id)
    where not told.is_rejected
),

settled as (
    select
        refund_number, line_id,
        {{ latest("order_line", owner="system = 'shopify'") }} as order_line,
        {{ latest("sku", owner="system = 'shopify'") }} as sku,
        {{ latest("quantity", owner="system = 'shopify'") }} as quantity,
        {{ latest("restock", owner="system = 'shopify'") }} as restock,
        {{ latest("subtotal", owner="system = 'shopify'") }} as subtotal,
        {{ latest("tax", owner="system = 'shopify'") }} as tax,
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parent_changed_at)) as removed_at
    from messages
    group by refund_number, line_id
)

select
    refund_number,
    line_id,
    cast(order_line as varchar) as order_line,
    cast(sku as varchar) as sku,
    cast(quantity as bigint) as quantity,
    cast(restock as varchar) as restock,
    cast(subtotal as decimal(38, 10)) as subtotal,
    cast(tax as decimal(38, 10)) as tax,
    position, removed_at
from settled

-- generated from pipelines/map by `concord write`; do not edit
-- One row per SKU in a parcel that came back. Its parent's winning message alone decides which exist; one that went has `removed_at`.
{{ config(tags=["sync_receipts"]) }}

with parents as (
    select receipt_number, origin_system, lines_inbox_id, changed_at
    from {{ ref("receipts") }}
    where receipt_number in (select receipt_number from {{ ref("touched_receipts") }})
),

messages as (
    select
        lines.* replace (told.receipt_number as receipt_number), parents.origin_system,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at, parents.changed_at as parent_changed_at,
        lines.inbox_id = parents.lines_inbox_id as is_current
    from {{ told_of(ref("stg_receipts"), ref("links_receipts"), ref("touched_receipts"), key="receipt_number") }} as told
    join parents using (receipt_number)
    join {{ ref("stg_receipt_lines") }} as lines using (inbox_id)
    where not told.is_rejected
),

settled as (
    select
        receipt_number, line_id,
        coalesce({{ latest("sku", owner="system = 'warehouse'") }}, {{ latest("sku", owner="system = 'tryton'") }}) as sku,
        coalesce({{ latest("quantity", owner="system = 'warehouse'") }}, {{ latest("quantity", owner="system = 'tryton'") }}) as quantity,
        coalesce({{ latest("restocked", owner="system = 'warehouse'") }}, {{ latest("restocked", owner="system = 'tryton'") }}) as restocked,
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parent_changed_at)) as removed_at
    from messages
    group by receipt_number, line_id
)

select
    receipt_number,
    line_id,
    cast(sku as varchar) as sku,
    cast(quantity as bigint) as quantity,
    cast(restocked as bigint) as restocked,
    position, removed_at
from settled

-- generated from pipelines/map by `concord write`; do not edit
-- One row per SKU in a parcel. Its parent's winning message alone decides which exist; one that went has `removed_at`.
{{ config(tags=["sync_fulfilments"]) }}

with parents as (
    select fulfilment_number, origin_system, lines_inbox_id, changed_at
    from {{ ref("fulfilments") }}
    where fulfilment_number in (select fulfilment_number from {{ ref("touched_fulfilments") }})
),

messages as (
    select
        lines.* replace (told.fulfilment_number as fulfilment_number), parents.origin_system,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at, parents.changed_at as parent_changed_at,
        lines.inbox_id = parents.lines_inbox_id as is_current
    from {{ told_of(ref("stg_fulfilments"), ref("links_fulfilments"), ref("touched_fulfilments"), key="fulfilment_number") }} as told
    join parents using (fulfilment_number)
    join {{ ref("stg_fulfilment_lines") }} as lines using (inbox_id)
    where not told.is_rejected
),

settled as (
    select
        fulfilment_number, line_id,
        coalesce({{ latest("sku", owner="system = 'warehouse'") }}, {{ latest("sku", owner="system = 'tryton'") }}) as sku,
        coalesce({{ latest("quantity", owner="system = 'warehouse'") }}, {{ latest("quantity", owner="system = 'tryton'") }}) as quantity,
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parent_changed_at)) as removed_at
    from messages
    group by fulfilment_number, line_id
)

select
    fulfilment_number,
    line_id,
    cast(sku as varchar) as sku,
    cast(quantity as bigint) as quantity,
    position, removed_at
from settled

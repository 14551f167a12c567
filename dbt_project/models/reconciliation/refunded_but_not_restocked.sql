-- One row per order of which goods were refunded as returned, and fewer were received, or put on a shelf.
{{ config(materialized="view", tags=["reconcile_returns"]) }}

-- By the line of the order: its product may have been given another SKU since.
with refunded as (
    select
        refunds.order_number, order_lines.sku, sum(refund_lines.quantity) as quantity, max(refunds.last_received_at) as told_at
    from {{ ref("refund_lines") }} as refund_lines
    join {{ ref("refunds") }} as refunds using (refund_number)
    join {{ ref("order_lines") }} as order_lines
        on order_lines.order_number = refunds.order_number and order_lines.line_id = refund_lines.order_line
    where refund_lines.restock = 'returned' and refund_lines.removed_at is null and refunds.deleted_at is null
        and refunds.status <> 'failed'
    group by all
),

compared as (
    select
        order_number, sku, refunded.quantity, coalesce(came_back.quantity, 0) as received,
        coalesce(came_back.restocked, 0) as restocked, greatest(refunded.told_at, came_back.told_at) as told_at
    from refunded
    left join {{ ref("came_back") }} as came_back using (order_number, sku)
    where refunded.quantity > coalesce(came_back.restocked, 0)
)

select
    order_number as key,
    if(bool_or(received < quantity), 'not received', 'not on the shelf') as kind,
    string_agg(quantity || ' of ' || sku || ' refunded as returned', ', ' order by sku) as one_value,
    string_agg(restocked || ' of ' || sku || ' put on the shelf', ', ' order by sku) as other_value,
    max(told_at) as since,
    if(bool_or(received < quantity),
        'look for the parcel of ' || order_number || ' at the place to which it was to come; what is lost is written off there',
        'put the goods on the shelf, or write off what cannot be sold; no channel sells them until they are counted') as next_step
from compared
group by order_number

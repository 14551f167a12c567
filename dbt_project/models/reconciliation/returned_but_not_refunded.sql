-- One row per order of which goods came back, and of which fewer were refunded or exchanged.
{{ config(materialized="view", tags=["reconcile_returns"]) }}

with settled as (
    select refunds.order_number, order_lines.sku, sum(refund_lines.quantity) as quantity, max(refunds.last_received_at) as told_at
    from {{ ref("refund_lines") }} as refund_lines
    join {{ ref("refunds") }} as refunds using (refund_number)
    join {{ ref("order_lines") }} as order_lines
        on order_lines.order_number = refunds.order_number and order_lines.line_id = refund_lines.order_line
    where refund_lines.restock <> 'cancelled' and refund_lines.removed_at is null and refunds.deleted_at is null
        and refunds.status <> 'failed'
    group by all
),

-- An order of which all was given back owes nobody anything, whatever its refunds say of lines.
paid_back as (
    select order_number from {{ ref("orders") }} where status in ('refunded', 'cancelled') or deleted_at is not null
),

compared as (
    select order_number, sku, came_back.return_number, came_back.quantity, coalesce(settled.quantity, 0) as refunded,
        greatest(came_back.told_at, settled.told_at) as told_at
    from {{ ref("came_back") }} as came_back
    anti join paid_back using (order_number)
    left join settled using (order_number, sku)
    where came_back.quantity > coalesce(settled.quantity, 0)
)

select
    compared.order_number as key,
    case min(returns.status)
        when 'declined' then 'came back though declined'
        when 'cancelled' then 'came back though cancelled'
        else 'not refunded'
    end as kind,
    string_agg(quantity || ' of ' || sku || ' came back', ', ' order by sku) as one_value,
    string_agg(refunded || ' of ' || sku || ' refunded', ', ' order by sku) as other_value,
    max(compared.told_at) as since,
    case min(returns.status)
        when 'declined' then 'send the goods to the customer again, or accept the return in the shop and refund it'
        when 'cancelled' then 'ask the customer what is meant; send the goods again, or refund them in the shop'
        else 'refund or exchange it in the shop' || coalesce(', by return ' || min(returns.name), '')
    end as next_step
from compared
left join {{ ref("returns") }} as returns using (return_number)
group by compared.order_number

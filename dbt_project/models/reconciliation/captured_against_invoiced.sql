-- One row per order whose sale in the ERP, less its credit notes, is worth another amount than we captured of it. What gift
-- cards paid, nobody captures; refunds that wait for their credit have a proof of their own.
{{ config(materialized="view", tags=["reconcile_payments"]) }}

with sales as (
    select erp_sales.* replace (total - coalesce(credited, 0) as total, greatest(erp_sales.told_at, credits.told_at) as told_at)
    from {{ ref("erp_sales") }} as erp_sales
    left join {{ ref("credits_of_orders") }} as credits using (order_number)
)

select
    sales.order_number as key,
    case
        when sales.currency <> money.currency then 'another currency'
        when sales.total - paid_by_card > money.captured then 'invoiced more than captured'
        else 'captured more than invoiced'
    end as kind,
    as_travelling(money.captured) || ' ' || money.currency as one_value,
    as_travelling(sales.total) || ' ' || sales.currency as other_value,
    greatest(money.told_at, sales.told_at) as since,
    'compare order ' || sales.order_number || ' with sale ' || sales.erp_number || ': `concord trace ' || sales.order_number || '`'
        as next_step
from sales
join {{ ref("money_of_orders") }} as money using (order_number)
join (select order_number, coalesce(gift_card_total, 0) as paid_by_card from {{ ref("orders") }}) using (order_number)
where sales.status <> 'cancelled'
    and (
        sales.currency <> money.currency
        or sales.total - paid_by_card > money.captured + 0.01
        or sales.total - paid_by_card < money.kept - 0.01
    )

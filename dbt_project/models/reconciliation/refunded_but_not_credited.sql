-- One row per refund that the ERP has not credited, or credited otherwise, while its sale stands for more than we kept.
{{ config(materialized="view", tags=["reconcile_refunds"]) }}

with given_back as (
    select order_number, sum(amount) as amount
    from {{ ref("refunds") }}
    where status in ('pending', 'paid') and deleted_at is null
    group by order_number
),

-- What stands in the ERP for an order, less what is credited, beyond the money that we kept of it.
standing as (
    select
        sales.order_number, sales.erp_number, sales.told_at,
        sales.total - coalesce(credits.credited, 0) - (money.captured - given_back.amount) as too_much
    from {{ ref("erp_sales") }} as sales
    join given_back using (order_number)
    join {{ ref("money_of_orders") }} as money using (order_number)
    left join {{ ref("credits_of_orders") }} as credits using (order_number)
    where sales.status <> 'cancelled' and sales.currency = money.currency
),

-- Why a refund is not sent on, and which flow is to carry it: into the shop first, and then into the ERP.
wanted as (
    select
        refund_number, max(held_because) as because,
        if(bool_or(is_wanted and flow = 'refunds_to_storefront'), 'refunds_to_storefront', max(flow) filter (where is_wanted)) as flow
    from {{ ref("wanted_refunds") }}
    where flow in ('refunds_to_storefront', 'refunds_to_erp')
    group by refund_number
)

select
    refunds.refund_number as key,
    if(refunds.credited is null, 'not credited', 'credited otherwise') as kind,
    as_travelling(refunds.amount) || ' ' || refunds.currency as one_value,
    as_travelling(refunds.credited) || ' ' || refunds.currency as other_value,
    greatest(refunds.last_received_at, standing.told_at) as since,
    case
        when refunds.credited is not null then
            'compare credit note ' || refunds.credit_number || ' with the refund, and correct sale ' || standing.erp_number || ' by hand'
        when wanted.because is not null then 'held: ' || wanted.because
        when wanted.flow is not null then 'concord repair ' || wanted.flow || ' ' || refunds.refund_number
        when refunds.recorded_at is null then
            'record it in the shop as paid by hand, with a note that begins with ' || refunds.refund_number || '; its credit follows'
        else 'credit ' || as_travelling(least(refunds.amount, standing.too_much)) || ' of sale ' || standing.erp_number || ' by hand in the ERP'
    end as next_step
from {{ ref("refunds") }} as refunds
join standing using (order_number)
left join wanted using (refund_number)
where standing.too_much > 0.01 and refunds.status in ('pending', 'paid') and refunds.amount > 0 and refunds.deleted_at is null
    and not coalesce(abs(refunds.credited - refunds.amount) <= 0.01, false) and not coalesce(refunds.is_exchange and refunds.credited is not null, false)

-- One row per order that the ERP told of: what its newest word on the sale is, whatever the shop says.
{{ config(materialized="view", tags=["reconcile_payments", "reconcile_refunds"]) }}

select
    coalesce(links.key, told.order_number) as order_number,
    arg_max(told.erp_number, told.order_key) as erp_number,
    arg_max(told.status, told.order_key) as status,
    arg_max(told.total, told.order_key) as total,
    arg_max(told.currency, told.order_key) as currency,
    max(told.received_at) as told_at
from {{ ref("stg_orders") }} as told
left join {{ ref("links_orders") }} as links using (system, remote_id)
where told.said.erp_number and not told.is_rejected
group by all

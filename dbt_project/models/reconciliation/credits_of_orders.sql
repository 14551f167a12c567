-- One row per order of which the ERP has credited anything: how much, in the currency of its sale.
{{ config(materialized="view", tags=["reconcile_payments", "reconcile_refunds"]) }}

select order_number, sum(credited) as credited, max(last_received_at) as told_at
from {{ ref("refunds") }}
where credited is not null and order_number is not null
group by order_number

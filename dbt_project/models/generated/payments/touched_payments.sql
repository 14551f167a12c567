-- generated from pipelines/map by `concord write`; do not edit
-- The payments that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_payments"]) }}

with said as (
    select coalesce(links.key, stg.payment_number) as payment_number
    from {{ ref("stg_payments") }} as stg
    left join {{ ref("links_payments") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct payment_number from said where payment_number is not null
union
select key from {{ ref("ledger_payments") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.payment_number
from {{ ref("stg_payments") }} as stg
join {{ ref("ledger_payments") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.payment_number is not null
union
-- What waited for one of orders and may now go on.
select payment_number from {{ previous("payments", columns="payment_number, order_number, is_order_number_known") }}
where not is_order_number_known and order_number in (select order_number from {{ ref("orders") }})
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select payment_number from {{ previous("touched_payments", columns="payment_number") }}
{% endif %}

-- generated from pipelines/map by `concord write`; do not edit
-- The customers that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_customers"]) }}

with said as (
    select coalesce(links.key, stg.customer_number) as customer_number
    from {{ ref("stg_customers") }} as stg
    left join {{ ref("links_customers") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct customer_number from said where customer_number is not null
union
select key from {{ ref("ledger_customers") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.customer_number
from {{ ref("stg_customers") }} as stg
join {{ ref("ledger_customers") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.customer_number is not null
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select customer_number from {{ previous("touched_customers", columns="customer_number") }}
{% endif %}

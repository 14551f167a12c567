-- generated from pipelines/map by `concord write`; do not edit
-- Which customers are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_customers"]) }}

select coalesce(links.key, stg.customer_number) as customer_number
from {{ ref("stg_customers") }} as stg
left join {{ ref("links_customers") }} as links using (system, remote_id)
where coalesce(links.key, stg.customer_number) is not null
union
select key from {{ ref("ledger_customers") }}

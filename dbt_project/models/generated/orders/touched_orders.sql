-- generated from pipelines/map by `concord write`; do not edit
-- Which orders are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_orders"]) }}

select coalesce(links.key, stg.order_number) as order_number
from {{ ref("stg_orders") }} as stg
left join {{ ref("links_orders") }} as links using (system, remote_id)
where coalesce(links.key, stg.order_number) is not null
union
select key from {{ ref("ledger_orders") }}

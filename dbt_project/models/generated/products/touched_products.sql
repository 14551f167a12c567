-- generated from pipelines/map by `concord write`; do not edit
-- Which products are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_products"]) }}

select coalesce(links.key, stg.sku) as sku
from {{ ref("stg_products") }} as stg
left join {{ ref("links_products") }} as links using (system, remote_id)
where coalesce(links.key, stg.sku) is not null
union
select key from {{ ref("ledger_products") }}

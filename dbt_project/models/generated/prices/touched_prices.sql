-- generated from pipelines/map by `concord write`; do not edit
-- Which prices are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_prices"]) }}

select coalesce(links.key, stg.price_number) as price_number
from {{ ref("stg_prices") }} as stg
left join {{ ref("links_prices") }} as links using (system, remote_id)
where coalesce(links.key, stg.price_number) is not null
union
select key from {{ ref("ledger_prices") }}

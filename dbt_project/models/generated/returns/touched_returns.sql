-- generated from pipelines/map by `concord write`; do not edit
-- Which returns are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_returns"]) }}

select coalesce(links.key, stg.return_number) as return_number
from {{ ref("stg_returns") }} as stg
left join {{ ref("links_returns") }} as links using (system, remote_id)
where coalesce(links.key, stg.return_number) is not null
union
select key from {{ ref("ledger_returns") }}

-- generated from pipelines/map by `concord write`; do not edit
-- Which fulfilments are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_fulfilments"]) }}

select coalesce(links.key, stg.fulfilment_number) as fulfilment_number
from {{ ref("stg_fulfilments") }} as stg
left join {{ ref("links_fulfilments") }} as links using (system, remote_id)
where coalesce(links.key, stg.fulfilment_number) is not null
union
select key from {{ ref("ledger_fulfilments") }}

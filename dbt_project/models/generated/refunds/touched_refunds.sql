-- generated from pipelines/map by `concord write`; do not edit
-- Which refunds are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_refunds"]) }}

select coalesce(links.key, stg.refund_number) as refund_number
from {{ ref("stg_refunds") }} as stg
left join {{ ref("links_refunds") }} as links using (system, remote_id)
where coalesce(links.key, stg.refund_number) is not null
union
select key from {{ ref("ledger_refunds") }}

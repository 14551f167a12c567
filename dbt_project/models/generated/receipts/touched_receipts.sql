-- generated from pipelines/map by `concord write`; do not edit
-- Which receipts are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_receipts"]) }}

select coalesce(links.key, stg.receipt_number) as receipt_number
from {{ ref("stg_receipts") }} as stg
left join {{ ref("links_receipts") }} as links using (system, remote_id)
where coalesce(links.key, stg.receipt_number) is not null
union
select key from {{ ref("ledger_receipts") }}

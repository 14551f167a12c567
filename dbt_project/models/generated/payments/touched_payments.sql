-- generated from pipelines/map by `concord write`; do not edit
-- Which payments are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_payments"]) }}

select coalesce(links.key, stg.payment_number) as payment_number
from {{ ref("stg_payments") }} as stg
left join {{ ref("links_payments") }} as links using (system, remote_id)
where coalesce(links.key, stg.payment_number) is not null
union
select key from {{ ref("ledger_payments") }}

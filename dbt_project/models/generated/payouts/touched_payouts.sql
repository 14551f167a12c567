-- generated from pipelines/map by `concord write`; do not edit
-- Which payouts are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_payouts"]) }}

select coalesce(links.key, stg.payout_number) as payout_number
from {{ ref("stg_payouts") }} as stg
left join {{ ref("links_payouts") }} as links using (system, remote_id)
where coalesce(links.key, stg.payout_number) is not null
union
select key from {{ ref("ledger_payouts") }}

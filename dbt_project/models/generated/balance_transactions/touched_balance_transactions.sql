-- generated from pipelines/map by `concord write`; do not edit
-- Which balance_transactions are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_balance_transactions"]) }}

select coalesce(links.key, stg.transaction_number) as transaction_number
from {{ ref("stg_balance_transactions") }} as stg
left join {{ ref("links_balance_transactions") }} as links using (system, remote_id)
where coalesce(links.key, stg.transaction_number) is not null
union
select key from {{ ref("ledger_balance_transactions") }}

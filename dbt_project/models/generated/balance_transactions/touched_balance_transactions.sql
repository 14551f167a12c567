-- generated from pipelines/map by `concord write`; do not edit
-- The balance_transactions that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_balance_transactions"]) }}

with said as (
    select coalesce(links.key, stg.transaction_number) as transaction_number
    from {{ ref("stg_balance_transactions") }} as stg
    left join {{ ref("links_balance_transactions") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct transaction_number from said where transaction_number is not null
union
select key from {{ ref("ledger_balance_transactions") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.transaction_number
from {{ ref("stg_balance_transactions") }} as stg
join {{ ref("ledger_balance_transactions") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.transaction_number is not null
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select transaction_number from {{ previous("touched_balance_transactions", columns="transaction_number") }}
{% endif %}

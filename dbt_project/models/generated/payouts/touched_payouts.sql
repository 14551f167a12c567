-- generated from pipelines/map by `concord write`; do not edit
-- The payouts that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_payouts"]) }}

with said as (
    select coalesce(links.key, stg.payout_number) as payout_number
    from {{ ref("stg_payouts") }} as stg
    left join {{ ref("links_payouts") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

select distinct payout_number from said where payout_number is not null
union
select key from {{ ref("ledger_payouts") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.payout_number
from {{ ref("stg_payouts") }} as stg
join {{ ref("ledger_payouts") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.payout_number is not null
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select payout_number from {{ previous("touched_payouts", columns="payout_number") }}
{% endif %}

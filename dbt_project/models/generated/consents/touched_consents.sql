-- generated from pipelines/map by `concord write`; do not edit
-- The consents that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_consents"]) }}

with said as (
    select coalesce(links.key, stg.consent_number) as consent_number
    from {{ ref("stg_consents") }} as stg
    left join {{ ref("links_consents") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }}
)

, told as (
select distinct consent_number from said where consent_number is not null
union
select key from {{ ref("ledger_consents") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.consent_number
from {{ ref("stg_consents") }} as stg
join {{ ref("ledger_consents") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.consent_number is not null
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select consent_number from {{ previous("touched_consents", columns="consent_number") }}
{% endif %}
)

-- A message may tell of all that hang on one record, and has one verdict: they are settled together.
select distinct regexp_replace(consent_number, '/[^/]+$', '') || '/' || part as consent_number
from told
cross join (select unnest(['email', 'sms']) as part)

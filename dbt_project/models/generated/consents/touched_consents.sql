-- generated from pipelines/map by `concord write`; do not edit
-- Which consents are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_consents"]) }}

-- A message may tell of all that hang on one record, and has one verdict: they are settled together.
select distinct regexp_replace(key, '/[^/]+$', '') || '/' || part as consent_number
from (
    select coalesce(links.key, stg.consent_number) as key
    from {{ ref("stg_consents") }} as stg
    left join {{ ref("links_consents") }} as links using (system, remote_id)
    union
    select key from {{ ref("ledger_consents") }}
)
cross join (select unnest(['email', 'sms']) as part)
where key is not null

-- generated from pipelines/map by `concord write`; do not edit
-- Which << e.name >> are settled: a sync fills this with those of its news, and what is built whole settles whatever was ever told.
{{ config(tags=["sync_<< e.name >>"]) }}
<% set key = e.key | join(", ") %>

<% if e.entity.model %>
select << key >> from {{ ref("<< e.entity.model >>") }}
<% elif e.key | length > 1 %>
select distinct << key >> from {{ ref("stg_<< e.name >>") }} where << e.key[0] >> is not null
<% elif e.entity.of %>
-- A message may tell of all that hang on one record, and has one verdict: they are settled together.
select distinct regexp_replace(key, '/[^/]+$', '') || '/' || part as << key >>
from (
    select coalesce(links.key, stg.<< key >>) as key
    from {{ ref("stg_<< e.name >>") }} as stg
    left join {{ ref("links_<< e.name >>") }} as links using (system, remote_id)
    union
    select key from {{ ref("ledger_<< e.name >>") }}
)
cross join (select unnest([<< e.entity.each | listed >>]) as part)
where key is not null
<% else %>
select coalesce(links.key, stg.<< key >>) as << key >>
from {{ ref("stg_<< e.name >>") }} as stg
left join {{ ref("links_<< e.name >>") }} as links using (system, remote_id)
where coalesce(links.key, stg.<< key >>) is not null
union
select key from {{ ref("ledger_<< e.name >>") }}
<% endif %>

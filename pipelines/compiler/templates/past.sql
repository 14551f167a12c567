-- generated from pipelines/map by `concord write`; do not edit
-- What << e.name >> were, and since when: one row per change of a field by which sales are priced. Its first word counts for all time before.
{{ config(materialized="view", tags=[<% for reader in e.priced_by %>"reconcile_<< reader >>"<< ", " if not loop.last >><% endfor %>]) }}
<% set key = e.key[0] %>

<% for name in e.remembered %>
select
    << key >>, '<< name >>' as field, inbox_id, cast(<< name >> as varchar) as value,
    if(row_number() over words_on_<< name >> = 1, timestamptz '0001-01-01', occurred_at) as since
from (
    select coalesce(links.key, told.<< key >>) as << key >>, << name >>, occurred_at, order_key, inbox_id
    from {{ ref("stg_<< e.name >>") }} as told
    left join {{ ref("links_<< e.name >>") }} as links using (system, remote_id)
    where said.<< name >> and broken.<< name >> is null and not is_rejected and system in (<< e.owners(name) | listed >>)
)
window words_on_<< name >> as (partition by << key >> order by order_key, inbox_id)
qualify row_number() over words_on_<< name >> = 1 or << name >> is distinct from lag(<< name >>) over words_on_<< name >>
<< "\nunion all\n" if not loop.last >>
<% endfor %>

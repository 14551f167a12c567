-- generated from pipelines/map by `concord write`; do not edit
-- The << e.name >> that this run settles: everything said, linked, decided or waited for since the last settled batch.
{{ config(materialized="renewed", meta={"renews": "all"}, tags=["sync_<< e.name >>"]) }}
<% set key = e.key | join(", ") %>

<% if e.entity.model %>
select << key >> from {{ ref("<< e.entity.model >>") }}
<% else %>
with said as (
<% if e.key | length == 1 %>
    select coalesce(links.key, stg.<< key >>) as << key >>
    from {{ ref("stg_<< e.name >>") }} as stg
    left join {{ ref("links_<< e.name >>") }} as links using (system, remote_id)
<% else %>
    select << key >> from {{ ref("stg_<< e.name >>") }}
<% endif %>
    where {{ in_batch("inbox_id") }}
)

<% if e.entity.of %>
, told as (
<% endif %>
select distinct << key >> from said where << e.key[0] >> is not null
union
<% if e.key | length > 1 %>
select << key >> from {{ previous("<< e.name >>", columns="<< key >>") }}
where concat_ws('|', << key >>) in (select key from {{ ref("ledger_<< e.name >>") }} where {{ in_batch("ledger_id") }})
<% else %>
select key from {{ ref("ledger_<< e.name >>") }} where {{ in_batch("ledger_id") }}
union
-- A relinked record leaves the key that it had before.
select stg.<< key >>
from {{ ref("stg_<< e.name >>") }} as stg
join {{ ref("ledger_<< e.name >>") }} as relinked using (system, remote_id)
where relinked.kind in ('linked', 'unlinked') and {{ in_batch("ledger_id") }} and stg.<< key >> is not null
<% endif %>
<% for child, field, target in e.references %>
union
-- What waited for one of << target >> and may now go on.
select << key >> from {{ previous("<< child >>", columns="<< key >>, << field >>, is_<< field >>_known") }}
where not is_<< field >>_known and << field >> in (select << the_map.entities[target].key[0] >> from {{ ref("<< target >>") }})
<% endfor %>
<% for rule in e.uniqueness.holding.values() %>
union
-- What may go on, or not, since a record that claims the same is settled anew.
select others.<< key >>
from {{ previous("<< e.name >>", columns="<< e.uniqueness.columns | join(", ") >>") }} as mine
join {{ previous("<< e.name >>", columns="<< e.uniqueness.columns | join(", ") >>") }} as others on << e.uniqueness.same(rule, "mine", "others") >>
{% if not var("is_woken") %}
where mine.<< key >> in (select << key >> from said)
{% endif %}
<% endfor %>
<% if e.between.rules %>
{% if var("is_woken") %}
union
-- What keeps or breaks a rule since a record that it is held against has changed.
select << key >>
from {{ previous("<< e.name >>", columns="<< (e.key + e.fields | list) | join(", ") >>, rules_broken") }} as records
<< e.between.joined("records", table=in_dbt) >>
where rules_broken is distinct from << e.between.broken >>
{% endif %}
<% endif %>
<% if e.limits.rules %>
union
-- What is open and counts with others: each sum is looked at again as a whole.
select << key >> from {{ previous("wanted_<< e.name >>", columns="<< key >>, flow, is_wanted") }} where is_wanted and flow in (<< e.limits.flows | listed >>)
<% endif %>
<% for stream in e.complete_streams %>
union
-- A record that two complete files running do not mention.
select << key >> from {{ ref("stg_<< e.name >>") }}
where system = '<< stream.system.system >>' and stream = '<< stream.stream_name >>' and not is_rejected
group by << key >>
having max(occurred_at) < (
    select min(occurred_at) from (
        select distinct occurred_at from {{ ref("stg_<< e.name >>") }}
        where system = '<< stream.system.system >>' and stream = '<< stream.stream_name >>' and not is_rejected
        order by occurred_at desc limit 2
    )
)
<% endfor %>
{% if var("goes_on") %}
union
-- What a build that did not end was settling: why it did may not be seen any more.
select << key >> from {{ previous("touched_<< e.name >>", columns="<< key >>") }}
{% endif %}
<% if e.entity.of %>
)

-- A message may tell of all that hang on one record, and has one verdict: they are settled together.
select distinct regexp_replace(<< key >>, '/[^/]+$', '') || '/' || part as << key >>
from told
cross join (select unnest([<< e.entity.each | listed >>]) as part)
<% endif %>
<% endif %>

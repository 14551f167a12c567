-- Which record each message about << e.name >> names, and nothing else of it.
<% for source in e.sources %>
<% set hoist = source.hoist %>
select
    inbox_id, system, told(<< hoist(source.remote_id) >>) as remote_id<% for column in e.key %>,
    told(<< hoist(source.says.key[loop.index0]) >>) as << column >><% endfor %>

from (
    select *, json_extract(payload, [<< hoist.places.payload | listed >>]) as heard
    from {{ ref("landing_<< e.name >>") }}
    where system = '<< source.system.system >>' and stream = '<< source.stream_name >>'
)
<% if source.says.when %>
where << hoist(source.says.when) >>
<% endif %>
<< "union all" if not loop.last >>
<% endfor %>

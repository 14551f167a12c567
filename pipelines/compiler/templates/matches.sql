-- generated from pipelines/map by `concord write`; do not edit
-- Records of different systems that may be one: what the map calls a match. What is sure is linked after this build,
-- what is not waits for a person; until then the younger of the two goes nowhere.
{{ config(tags=["sync_<< e.name >>"]) }}
<% set key = e.key[0] %>

with records as (
    select
        << key >>, first_inbox_id, last_received_at, known_as, list_distinct(list_transform(known_as, lambda one: one.system)) as systems,
<% for name, match in e.entity.match.items() %>
        << match.by >> as << name >><< "," if not loop.last >>
<% endfor %>
    from {{ ref("<< e.name >>") }}
    where deleted_at is null
),

touched as (select << key >> from {{ ref("touched_<< e.name >>") }}),

-- What people said of a record or a part of it: it stands for itself, or it is that one.
said as (
    select << key >>, bool_or(links.key is null) as stands_alone
    from (select << key >>, unnest(known_as, recursive := true) from records)
    join {{ ref("links_<< e.name >>") }} as links using (system, remote_id)
    where links.by_whom not in ('courier', 'match')
    group by << key >>
),

-- What more than twenty records share is nobody's own.
alike as (
<% for name in e.entity.match %>
    select one.<< key >> as one, other.<< key >> as other, << loop.index >> as strength
    from records as one
    semi join touched using (<< key >>)
    join records as other on other.<< name >> = one.<< name >> and other.<< key >> <> one.<< key >>
    anti join {{ crowded("<< e.name >>", "<< name >>") }} as crowd on crowd.value = cast(one.<< name >> as varchar)
    qualify count(*) over (partition by one.<< key >>) < 20
<% if not loop.last %>
    union all
<% endif %>
<% endfor %>
),

-- Those that were found before, where nothing was said of either since.
pairs as (
    select least(one, other) as one, greatest(one, other) as other, min(strength) as strength
    from (
        select * from alike
        union all
        select << key >>, other, strength from {{ previous("<< e.name >>_matches", columns="<< key >>, other, strength") }}
        where << key >> not in (from touched) and other not in (from touched)
    )
    group by all
),

between_systems as (
    select
        if(a.first_inbox_id < b.first_inbox_id, a, b) as elder,
        if(a.first_inbox_id < b.first_inbox_id, b, a) as younger,
        strength
    from pairs
    join records as a on a.<< key >> = pairs.one
    join records as b on b.<< key >> = pairs.other
    where not list_has_any(a.systems, b.systems)
        and a.<< key >> not in (select << key >> from said where stands_alone)
        and b.<< key >> not in (select << key >> from said where stands_alone)
),

-- Of one system only one can be this record; one of each of several systems may well be the same.
counted as (
    select << key >>, len(flatten(list(systems))) > len(list_distinct(flatten(list(systems)))) as is_ambiguous
    from (
        select younger.<< key >> as << key >>, elder.systems as systems from between_systems
        union all
        select elder.<< key >>, younger.systems from between_systems
    )
    group by << key >>
)

select
    younger.<< key >> as << key >>,
    elder.<< key >> as other,
    strength,
    [<< e.entity.match | listed >>][strength] as agree_on,
    younger.known_as as known_as,
    younger.last_received_at as since,
    case
        when younger.<< key >> in (select << key >> from said) then 'a person said what it is'
        when mine.is_ambiguous or theirs.is_ambiguous then 'there are others like them'
<% for name, match in e.entity.match.items() %>
<% set outer = loop %>
<% for stronger in (e.entity.match | list)[:loop.index0] %>
        when strength = << outer.index >> and younger.<< stronger >> <> elder.<< stronger >> then 'their << stronger >> differs'
<% endfor %>
<% if not match.is_sure %>
        when strength = << loop.index >> then 'that alone is not sure'
<% endif %>
<% endfor %>
    end as doubt
from between_systems
join counted as mine on mine.<< key >> = younger.<< key >>
join counted as theirs on theirs.<< key >> = elder.<< key >>
qualify doubt is not null or row_number() over (partition by younger.<< key >>, doubt is null order by elder.first_inbox_id) = 1

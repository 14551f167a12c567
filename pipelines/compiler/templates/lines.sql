-- generated from pipelines/map by `concord write`; do not edit
-- << e.entity.meaning >> << "The newest message of each who owns whether they are" if e.entity.exists else "Its parent's winning message alone" >> decides which exist; one that went has `removed_at`.
{{ config(tags=["sync_<< e.root.entity >>"]) }}
<% set key = e.key | join(", ") %>
<% set parent_key = e.root_key[0] %>
<% set tellers = e.tellers %>

with parents as (
    select << parent_key >>, origin_system, << (e.origins_among | list + [""]) | join(", ") >>lines_inbox_id, changed_at<% if tellers %><% for field in tellers.parent_fields %>, << field >><% endfor %><% endif %>

    from {{ ref("<< e.root.entity >>") }}
    where << parent_key >> in (select << parent_key >> from {{ ref("touched_<< e.root.entity >>") }})
),

<% if tellers %>
-- What each who may say so told last of which exist.
told_last as (
    select << parent_key >>, system, part, arg_max(inbox_id, order_key) as inbox_id
    from (
        select *, unnest(<< tellers.parts_of_message >>) as part
        from {{ told_of(ref("stg_<< e.root.entity >>"), ref("links_<< e.root.entity >>"), ref("touched_<< e.root.entity >>"), key="<< parent_key >>") }}
        join parents using (<< parent_key >>)
        where tells_lines and not is_rejected and << e.existence_condition >>
    )
    group by << parent_key >>, system, part
),

<% endif %>
messages as (
    select
        lines.* replace (told.<< parent_key >> as << parent_key >>), parents.origin_system,<% for column in e.origins_among %> parents.<< column >>,<% endfor %>

        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at, parents.changed_at as parent_changed_at,
        << "(lines.inbox_id, " ~ tellers.part_of_row ~ ") in (select (inbox_id, part) from told_last)" if tellers else "lines.inbox_id = parents.lines_inbox_id" >> as is_current<% if tellers and tellers.parent_fields %>,
        struct_pack(<% for field in tellers.parent_fields %><< field >> := parents.<< field >><< ", " if not loop.last >><% endfor %>) as << e.root.entity >><% endif %>

    from {{ told_of(ref("stg_<< e.root.entity >>"), ref("links_<< e.root.entity >>"), ref("touched_<< e.root.entity >>"), key="<< parent_key >>") }} as told
    join parents using (<< parent_key >>)
    join {{ ref("stg_<< e.name >>") }} as lines using (inbox_id)
    where not told.is_rejected
),
<% if tellers and tellers.knowing %>

-- Since when each words a row as it does, and when it worded it so before.
wordings as (
    select *, lag(order_key) over (partition by << key >>, system, wording order by order_key) as worded_so_at
    from (
        select
            << key >>, system, order_key, concat_ws(chr(10)<% for name in tellers.wording %>, plainly(<< name >>)<% endfor %>) as wording
        from messages
        where << e.existence_condition >> and not is_echo
        qualify wording is distinct from lag(wording) over (partition by << key >>, system order by order_key)
    )
),

-- Who says what another said before, and has not said it since then, repeats the other; those who tell by themselves when they
-- repeat are believed.
repeated as (
    select<% for column in e.key %> mine.<< column >>,<% endfor %> mine.system, mine.order_key as since
    from wordings as mine
    join wordings as others on others.<< parent_key >> = mine.<< parent_key >> and others.wording = mine.wording and others.order_key < mine.order_key
    where others.system in (<< tellers.knowing | listed >>) and mine.system not in (<< tellers.knowing | listed >>)
    group by<% for column in e.key %> mine.<< column >>,<% endfor %> mine.system, mine.order_key, mine.worded_so_at
    having coalesce(mine.worded_so_at < max(others.order_key), true)
),

words_of_their_own as (
    select messages.*
    from messages
    asof left join wordings
        on<% for column in e.key %> wordings.<< column >> = messages.<< column >> and<% endfor %> wordings.system = messages.system and messages.order_key >= wordings.order_key
    anti join repeated
        on<% for column in e.key %> repeated.<< column >> = messages.<< column >> and<% endfor %> repeated.system = messages.system and repeated.since = wordings.order_key
    where not is_echo
),
<% elif tellers %>

words_of_their_own as (
    select * from messages where not is_echo
),
<% endif %>
<% if tellers %>

-- A row is told by one of them as a whole: by the first who tells of it now.
tellers as (
    select
        << key >>,
        arg_min(system, (not is_current, case<% for owner, rows in e.entity.exists.first.items() %> when << e.owner_condition(owner) >> and coalesce(<< rows >>, false) then 0<% endfor %><% for owner in e.entity.exists.owner %> when << e.owner_condition(owner) >> then << loop.index >><% endfor %> end)) as teller
    from words_of_their_own
    where << e.existence_condition >>
    group by << key >>
),
<% endif %>

settled as (
    select
        << key >>,
<% for name in e.fields %>
        << e.settle(name) >> as << name >>,
<% endfor %>
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parent_changed_at)) as removed_at<< ", teller as told_by" if tellers >>
    from << "words_of_their_own" if tellers else "messages" >>
<% if tellers %>
    join tellers using (<< key >>)
<% endif %>
    group by << key >><< ", teller" if tellers >>
)
<% if e.routing %>,

-- The places whose condition each line fits, as its record stands now.
routed as (
    select settled.*, << e.routing.places >> as places
    from settled
    << e.routing.joined("settled", table=in_dbt) | indent(4) >>
)
<% endif %>

select
<% for column in e.key %>
    << column >>,
<% endfor %>
<% for name, field in e.fields.items() %>
    cast(<< name >> as << field | sql_type >>) as << name >>,
<% endfor %>
<% for name, field in e.fields.items() if field.references %>
    coalesce(<< name >> in (select << the_map.entities[field.references].key[0] >> from {{ ref("<< field.references >>") }}), false) as is_<< name >>_known,
<% endfor %>
<% if e.routing %>
    case len(places) when 0 then '<< e.routing.otherwise >>' when 1 then places[1] end as ships_from,
    if(len(places) > 1, array_to_string(places, ' and '), null) as rival_places,
<% endif %>
    position, removed_at<< ", told_by" if tellers >>
from << "routed" if e.routing else "settled" >>

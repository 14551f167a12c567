-- generated from pipelines/map by `concord write`; do not edit
-- Where a system's word on << e.name >> and ours differ: a field changed by who does not own it, or a status taken back by who does.
{{ config(tags=["sync_<< e.name >>"]) }}
<% set key = e.key[0] %>

with
<% if e.guarded %>
deliveries as (
    select key as << key >>, system, max(happened_at) as delivered_at
    from {{ ref("ledger_<< e.name >>") }}
    where kind in ('delivered', 'held') and key in (select << key >> from {{ ref("touched_<< e.root.entity >>") }})
    group by key, system
),

-- What each system said since it last took a delivery: the first of it shows how it keeps what it took.
messages as (
    select told.*
    from {{ told_of(ref("stg_<< e.name >>"), ref("links_<< e.name >>"), ref("touched_<< e.name >>"), key="<< key >>") }} as told
    left join deliveries using (<< key >>, system)
    where not is_rejected and (delivered_at is null or received_at >= delivered_at)
),

heard as (
<% for field, system, answer in e.guarded %>
    select
        << key >>, '<< system >>' as system, '<< field >>' as field, '<< answer >>' as on_foreign_write,
        cast(arg_min(<< field >>, inbox_id) as varchar) as value_before,
        cast(arg_max(<< field >>, inbox_id) as varchar) as value_now,
        max(received_at) as seen_at
    from messages
    where system = '<< system >>' and said.<< field >>
    group by << key >>
    << "union all" if not loop.last >>
<% endfor %>
),

ours as (
<% for field, system, answer in e.guarded %>
    select << key >>, '<< system >>' as system, '<< field >>' as field, cast(<< field >> as varchar) as our_value
    from {{ ref("<< e.name >>") }}
    where << key >> in (select << key >> from heard)
    << "union all" if not loop.last >>
<% endfor %>
)<< "," if e.climbing >>
<% endif %>
<% if e.climbing %>

-- The newest word of a status's owner lies before what we hold and before what it said itself, and no person has decided.
steps_back as (
<% for field in e.climbing %>
    select
        << key >>, system, '<< field >>' as field, 'forbidden' as on_foreign_write,
        our_value as value_before, arg_max(<< field >>, order_key) as value_now, arg_max(received_at, order_key) as seen_at, our_value
    from {{ told_of(ref("stg_<< e.name >>"), ref("links_<< e.name >>"), ref("touched_<< e.name >>"), key="<< key >>") }} as told
    join (select << key >>, origin_system, << (e.origins_among | list + [""]) | join(", ") >><< field >> as our_value from {{ ref("<< e.name >>") }}) as ours using (<< key >>)
    where said.<< field >> and broken.<< field >> is null and << field >> is not null and not is_rejected and << e.any_owner(field) >>
        and << key >> not in (
            select key from {{ ref("ledger_<< e.name >>") }}
            where field = '<< field >>' and kind in ('decided', 'revoked')
            group by key having arg_max(kind, ledger_id) = 'decided'
        )
    group by << key >>, system, our_value
    having list_position(<< e.ladder_of(field) >>, arg_max(<< field >>, order_key)) < least(
        list_position(<< e.ladder_of(field) >>, our_value),
        max(list_position(<< e.ladder_of(field) >>, << field >>))<% if e.fields[field].may_go_back %> filter (where << field >> not in (<< e.fields[field].may_go_back | listed >>))<% endif %>

    )
    << "union all" if not loop.last >>
<% endfor %>
)
<% endif %>

select *, '<< e.steward >>' as steward
from (
<% if e.guarded %>
    select heard.*, ours.our_value
    from heard
    join ours using (<< key >>, system, field)
    where value_now is distinct from value_before and value_now is distinct from our_value
<% endif %>
<% if e.guarded and e.climbing %>
    union all by name
<% endif %>
<% if e.climbing %>
    select * from steps_back
<% endif %>
)

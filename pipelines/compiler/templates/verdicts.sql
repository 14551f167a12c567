-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about << e.name >>, the first that matches.
{{ config(tags=["sync_<< e.name >>"]) }}
<% set key = e.key | join(", ") %>

with told as (
<% if e.key | length == 1 %>
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_<< e.name >>"), ref("links_<< e.name >>"), ref("touched_<< e.name >>"), key="<< key >>") }}
<% else %>
    select * from {{ ref("stg_<< e.name >>") }} semi join {{ ref("touched_<< e.root.entity >>") }} using (<< key >>)
<% endif %>

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
<% if e.key | length == 1 %>
        select stg.* replace (coalesce(links.key, stg.<< key >>) as << key >>)
        from {{ ref("stg_<< e.name >>") }} as stg
        left join {{ ref("links_<< e.name >>") }} as links using (system, remote_id)
<% else %>
        select * from {{ ref("stg_<< e.name >>") }}
<% endif %>
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_<< e.root.entity >>") }} using (<< key >>)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, << key >>,
        << "system in (" ~ (e.owning_systems | listed) ~ ")" if e.owning_systems else "false" >> as may_own
    from told
)<< "," if not e.entity.model >>

<% if e.entity.model %>
select
    inbox_id, system, stream, received_at, concat_ws('|', << e.key | join(", ") >>) as key,
    if(is_quarantined, 'quarantined', 'ignored') as verdict
from messages
<% else %>
records as (
    select << key >>, winners
    from {{ ref("<< e.name >>") }}
    semi join {{ ref("touched_<< e.root.entity >>") }} using (<< key >>)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select << e.key[0] >> from {{ ref("<< e.name >>") }} where false
<% for child, field, target in e.references %>
    union select << e.key[0] >> from {{ ref("<< child >>") }} where not is_<< field >>_known<% if child != e.name %> and removed_at is null<% endif %>

<% endfor %>
)

<% if e.entity.of %>
-- Of what a message told of several records, the first that matches.
select
    inbox_id, any_value(system) as system, any_value(stream) as stream, any_value(received_at) as received_at, min(key) as key,
    ['quarantined', 'pending', 'applied', 'superseded', 'ignored'][
        min(list_position(['quarantined', 'pending', 'applied', 'superseded', 'ignored'], verdict))
    ] as verdict
from (
<% endif %>
select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', << "messages." ~ e.key | join(", messages.") >>) as key,
    case
        when is_quarantined then 'quarantined'
        when records.<< e.key[0] >> is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.<< e.key[0] >> in (select << e.key[0] >> from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (<< key >>)
left join winners on winners.inbox_id = messages.inbox_id
<% if e.entity.of %>
)
group by inbox_id
<% endif %>
<% endif %>
<% if e.sources | selectattr("says.when") | list %>

union all

-- What tells of other things alone.
select inbox_id, system, stream, received_at, null as key, 'ignored' as verdict
from {{ ref("landing_<< e.name >>") }}
anti join {{ ref("stg_<< e.name >>") }} using (inbox_id)
where {{ in_batch("inbox_id") }}
<% endif %>

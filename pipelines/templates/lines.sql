-- generated from pipelines/map by `concord write`; do not edit
-- << e.entity.meaning >> Its parent's winning message alone decides which exist; one that went has `removed_at`.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "<< e.root_key | join(", ") >>", "touched": "touched_<< e.root.entity >>", "at_once": {"touched_<< e.root.entity >>": 100000, "stg_<< e.name >>": 300000}},
    tags=["sync_<< e.root.entity >>"],
) }}
-- depends_on: {{ ref("touched_<< e.root.entity >>") }}
<% set key = e.key | join(", ") %>
<% set parent_key = e.root_key[0] %>

with parents as (
    select << parent_key >>, origin_system, lines_inbox_id, changed_at
    from {{ ref("<< e.root.entity >>") }}
    where << parent_key >> in (select << parent_key >> from temp.keys_in_turn)
),

messages as (
    select
        lines.* replace (told.<< parent_key >> as << parent_key >>), parents.origin_system,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at,
        lines.inbox_id = parents.lines_inbox_id as is_current
    from {{ told_of(ref("stg_<< e.root.entity >>"), ref("links_<< e.root.entity >>"), key="<< parent_key >>") }} as told
    join parents using (<< parent_key >>)
    join {{ ref("stg_<< e.name >>") }} as lines using (inbox_id)
    where not told.is_rejected
),

settled as (
    select
        << key >>,
<% for name in e.fields %>
        << e.settle(name) >> as << name >>,
<% endfor %>
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parents.changed_at)) as removed_at
    from messages
    join parents using (<< parent_key >>, origin_system)
    group by << key >>
)

select
<% for column in e.key %>
    << column >>,
<% endfor %>
<% for name, field in e.fields.items() %>
    cast(<< name >> as << e.sql_type(field) >>) as << name >>,
<% endfor %>
<% for name, field in e.fields.items() if field.references %>
    coalesce(<< name >> in (select << the_map.entities[field.references].key[0] >> from {{ ref("<< field.references >>") }}), false) as is_<< name >>_known,
<% endfor %>
    position, removed_at
from settled

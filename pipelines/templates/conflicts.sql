-- generated from pipelines/map by `concord write`; do not edit
-- Foreign writes: a system changed a field of << e.name >> that it does not own, after we last knew what it held.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "<< e.key | join(", ") >>", "touched": "touched_<< e.name >>", "at_once": {"touched_<< e.name >>": 100000}},
    tags=["sync_<< e.name >>"],
) }}
-- depends_on: {{ ref("touched_<< e.name >>") }}
<% set key = e.key[0] %>

with deliveries as (
    select key as << key >>, system, max(happened_at) as delivered_at
    from {{ ref("ledger_<< e.name >>") }}
    where kind in ('delivered', 'held') and key in (select << key >> from temp.keys_in_turn)
    group by key, system
),

-- What each system said since it last took a delivery: the first of it shows how it keeps what it took.
messages as (
    select told.*
    from {{ told_of(ref("stg_<< e.name >>"), ref("links_<< e.name >>"), key="<< key >>") }} as told
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
)

select heard.*, ours.our_value
from heard
join ours using (<< key >>, system, field)
where value_now is distinct from value_before and value_now is distinct from our_value

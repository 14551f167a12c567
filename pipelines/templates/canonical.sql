-- generated from pipelines/map by `concord write`; do not edit
-- << e.entity.meaning >> For each field its owner's word wins, whatever order the messages came in.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "<< e.key | join(", ") >>", "touched": "touched_<< e.name >>", "at_once": {"touched_<< e.name >>": 60000}},
    tags=["sync_<< e.name >>"],
) }}
-- depends_on: {{ ref("touched_<< e.name >>") }}
<% set key = e.key | join(", ") %>

with
<% if e.key | length == 1 %>
messages as (
    select
        * exclude (by_whom) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_<< e.name >>"), ref("links_<< e.name >>"), key="<< key >>") }}
),
<% else %>
messages as (
    select stg.* replace (cast(stg.order_key as hugeint) as order_key), false as is_ours
    from {{ ref("stg_<< e.name >>") }} as stg
    semi join temp.keys_in_turn using (<< key >>)
),
<% endif %>

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        << key >>,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by << key >>
),

settled as (
    select
        << key >>, origin_system, origin_remote_id,
<% for name in e.fields if "us" not in e.fields[name].owner %>
        << e.settle(name) >> as << name >>,
<% endfor %>
        arg_max_null(if(is_deletion, occurred_at, null), order_key) filter (where not is_rejected and << e.existence_condition >>) as deleted_at,
<% if e.children %>
        arg_max(inbox_id, order_key) filter (where tells_lines and not is_rejected and system = origin_system) as lines_inbox_id,
<% endif %>
        list_distinct([
<% for name in e.fields if "us" not in e.fields[name].owner %>
            << e.winner(name) >>,
<% endfor %>
<% if e.children %>
            arg_max(inbox_id, order_key) filter (where tells_lines and not is_rejected and system = origin_system),
<% endif %>
            arg_max(inbox_id, order_key) filter (where is_deletion and not is_rejected and << e.existence_condition >>)
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(order_key) filter (where is_rejected and system = origin_system)
                > max(order_key) filter (where not is_rejected and system = origin_system), false
        ) then arg_max(reasons[1], order_key) filter (where is_rejected and system = origin_system) end as rejected_since,
        bool_or(len(reasons) > 0 and not is_rejected) as has_broken_fields,
<% if e.entity.match %>
        list_sort(list(distinct struct_pack(system := system, remote_id := remote_id)) filter (where remote_id is not null and not is_rejected)) as known_as,
        min(inbox_id) filter (where not is_rejected) as first_inbox_id,
<% endif %>
        max(occurred_at) filter (where not is_rejected and system = origin_system) as changed_at,
        max(inbox_id) filter (where not is_rejected) as last_inbox_id,
        max(received_at) filter (where not is_rejected) as last_received_at
    from messages
    join origins using (<< key >>)
    group by << key >>, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays.
flags as (
    select
        << key >>,
        list_filter([
<% for name, field in e.fields.items() if field.severity == "reject" and e.owners(name) %>
            '<< name >> ' || arg_max_null(broken.<< name >>, order_key) filter (where said.<< name >> and not is_rejected and << e.any_owner(name) >>)<< "," if not loop.last >>
<% endfor %>
        ], lambda flag: flag is not null) as flags
    from messages
    join (select << key >>, origin_system from settled where has_broken_fields) using (<< key >>)
    group by << key >>
)
<% if e.key | length == 1 %>,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as << key >><% for name in e.fields if "us" not in e.fields[name].owner %>,
        arg_max(if(kind = 'decided', value, null), ledger_id) filter (where field = '<< name >>') as << name >>_told
<% endfor %>
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_<< e.name >>") }}
        where kind in ('decided', 'revoked') and key in (select << key >> from temp.keys_in_turn)
    )
    where age = 1 and kind = 'decided'
    group by key
)
<% endif %>

select
<% for column in e.key %>
    settled.<< column >>,
<% endfor %>
    origin_system, origin_remote_id,
<% for name in e.fields if "us" not in e.fields[name].owner %>
<% if e.key | length == 1 %>
    cast(coalesce(<< e.cast(name) | replace("zone", "'UTC'") | replace(name ~ "_told", "decisions." ~ name ~ "_told") >>, settled.<< name >>) as << e.sql_type(e.fields[name]) >>) as << name >>,
<% else %>
    cast(settled.<< name >> as << e.sql_type(e.fields[name]) >>) as << name >>,
<% endif %>
<% endfor %>
<% for name, field in e.fields.items() if field.references %>
    coalesce(<< name >> in (select << the_map.entities[field.references].key[0] >> from {{ ref("<< field.references >>") }}), false) as is_<< name >>_known,
<% endfor %>
<% if e.children %>
    lines_inbox_id,
<% endif %>
<% if e.complete_streams %>
    coalesce(deleted_at, absences.absent_since) as deleted_at,
<% else %>
    deleted_at,
<% endif %>
    rejected_since, coalesce(flags.flags, []) as flags, winners, changed_at,<< " known_as, first_inbox_id," if e.entity.match >> last_inbox_id, last_received_at
from settled
left join flags using (<< key >>)
<% if e.key | length == 1 %>
left join decisions using (<< key >>)
<% endif %>
<% if e.complete_streams %>
left join {{ absences("<< e.name >>", <% for s in e.complete_streams %>system="<< s.system.system >>", stream="<< s.stream_name >>", largest="<< s.stream.largest_disappearance >>"<% endfor %>, key="<< key >>") }} as absences using (<< key >>)
<% endif %>

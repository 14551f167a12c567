-- generated from pipelines/map by `concord write`; do not edit
-- << e.entity.meaning >> For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_<< e.name >>"]) }}
<% set key = e.key | join(", ") %>
<% set among = (e.origins_among | list + [""]) | join(", ") %>

with
<% if e.key | length == 1 %>
messages as (
    select
        * exclude (by_whom<< ", told_as" if not e.withdrawal >>) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_<< e.name >>"), ref("links_<< e.name >>"), ref("touched_<< e.name >>"), key="<< key >>") }}
),
<% else %>
messages as (
    select stg.* replace (cast(stg.order_key as hugeint) as order_key), false as is_ours
    from {{ ref("stg_<< e.name >>") }} as stg
    semi join {{ ref("touched_<< e.root.entity >>") }} using (<< key >>)
),
<% endif %>

<% if e.withdrawal %>
-- Since when records that were told apart are known to be one.
joined as (
    select key as << key >>, max(happened_at) as joined_at
    from {{ ref("ledger_<< e.name >>") }}
    where kind = 'linked' and by_whom <> 'courier' and key in (select << key >> from {{ ref("touched_<< e.root.entity >>") }})
    group by key
),

-- What the message said by which it stands.
decisive as (
    select << key >>, << e.withdrawal.call >> as word
    from messages
    left join joined using (<< key >>)
    group by << key >>
),

<% endif %>
-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        << key >>,
        arg_min(system, order_key) as origin_system,
<% for column, systems in e.origins_among.items() %>
        arg_min(system, if(system in (<< systems | listed >>), order_key, null)) as << column >>,
<% endfor %>
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by << key >>
),

settled as (
    select
        << key >>, origin_system, << among >>origin_remote_id,
<% for name in e.fields if "us" not in e.fields[name].owner %>
        << e.settle(name) >> as << name >>,
<% endfor %>
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and << e.existence_condition >>, order_key, null)) as deleted_at,
<% if e.children %>
        arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)) as lines_inbox_id,
<% endif %>
        list_distinct([
<% for name in e.fields if "us" not in e.fields[name].owner and not e.fields[name].follows %>
            << e.winner(name) >>,
<% endfor %>
<% if e.children %>
            arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)),
<% endif %>
            arg_max(inbox_id, if(is_deletion and not is_rejected and << e.existence_condition >>, order_key, null))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(if(is_rejected and system = origin_system, order_key, null))
                > max(if(not is_rejected and system = origin_system, order_key, null)), false
        ) then arg_max(reasons[1], if(is_rejected and system = origin_system, order_key, null)) end as rejected_since,
        bool_or(len(reasons) + len(warnings) > 0 and not is_rejected) as has_broken_fields,
<% if e.entity.says_who %>
        list_sort(list(distinct struct_pack(system := system, remote_id := remote_id)) filter (where remote_id is not null and not is_rejected)) as known_as,
<% endif %>
<% if e.entity.match or e.entity.unique or e.entity.limits %>
        min(if(is_rejected, null, inbox_id)) as first_inbox_id,
<% endif %>
        max(if(not is_rejected and system = origin_system, occurred_at, null)) as changed_at,
        max(if(is_rejected, null, inbox_id)) as last_inbox_id,
        max(if(is_rejected, null, received_at)) as last_received_at
    from messages
    join origins using (<< key >>)
<% if e.withdrawal %>
    join decisive using (<< key >>)
<% endif %>
    group by << key >>, origin_system, << among >>origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        << key >>,
        list_filter([
<% for name, field in e.fields.items() if field.severity == "reject" and e.owners(name) %>
            '<< name >> ' || arg_max_null(broken.<< name >>, if(said.<< name >> and not is_rejected and << e.any_owner(name) >>, order_key, null))<< "," if not loop.last >>
<% endfor %>
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select << key >>, << among >>origin_system from settled where has_broken_fields) using (<< key >>)
    group by << key >>
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select << "key as " ~ key if e.key | length == 1 else key >><% for name in e.fields if "us" not in e.fields[name].owner %>,
        arg_max(if(kind = 'decided', value, null), if(field = '<< name >>', ledger_id, null)) as << name >>_told
<% endfor %>
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_<< e.name >>") }}
<% if e.key | length == 1 %>
        where kind in ('decided', 'revoked') and key in (select << key >> from {{ ref("touched_<< e.root.entity >>") }})
<% else %>
        join {{ ref("touched_<< e.root.entity >>") }} on concat_ws('|', << key >>) = key
        where kind in ('decided', 'revoked')
<% endif %>
    )
    where age = 1 and kind = 'decided'
    group by << "key" if e.key | length == 1 else key >>
)
<% if e.between.rules %>
,

records as (
<% endif %>

select
<% for column in e.key %>
    settled.<< column >>,
<% endfor %>
<% if e.entity.of %>
    regexp_replace(settled.<< key >>, '/[^/]+$', '') as << the_map.entities[e.entity.of].key[0] >>,
<% endif %>
    origin_system, << among >>origin_remote_id,
<% for name in e.fields if "us" not in e.fields[name].owner %>
    cast(coalesce(<< e.cast(name) | replace("zone", "'UTC'") | replace(name ~ "_told", "decisions." ~ name ~ "_told") >>, settled.<< name >>) as << e.fields[name] | sql_type >>) as << name >>,
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
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at,<< " known_as," if e.entity.says_who >><< " first_inbox_id," if e.entity.match or e.entity.unique or e.entity.limits >> last_inbox_id, last_received_at
from settled
left join flags using (<< key >>)
left join decisions using (<< key >>)
<% if e.complete_streams %>
left join {{ absences("<< e.name >>", <% for s in e.complete_streams %>system="<< s.system.system >>", stream="<< s.stream_name >>", largest="<< s.stream.largest_disappearance >>"<% endfor %>, key="<< key >>") }} as absences using (<< key >>)
<% endif %>
<% if e.between.rules %>
),

-- Held against the records of others, as these stand now.
held_against_others as (
    select
        records.*,
        << e.between.broken >> as rules_broken
    from records
    << e.between.joined("records", table=in_dbt) | indent(4) >>
)

select
<% if e.between.rejecting %>
    * replace (
        flags || list_filter(rules_broken, lambda broken: split_part(broken, ' ', 1) in (<< e.between.rejecting | listed >>)) as flags,
        warnings || list_filter(rules_broken, lambda broken: split_part(broken, ' ', 1) not in (<< e.between.rejecting | listed >>)) as warnings
    )
<% else %>
    * replace (warnings || rules_broken as warnings)
<% endif %>
from held_against_others
<% endif %>

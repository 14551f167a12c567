-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of << e.name >>: one row per flow, destination and record.
{{ config(
    materialized="renewed",
    meta={"renews": "touched", "key": "<< e.key | join(", ") >>", "touched": "touched_<< e.name >>", "at_once": {"touched_<< e.name >>": 30000<% for child in e.children %>, "<< child.name >>": 75000<% endfor %>}},
    tags=["sync_<< e.name >>"],
) }}
-- depends_on: {{ ref("touched_<< e.name >>") }}
<% set key = e.key[0] %>

with records as (
    select * from {{ ref("<< e.name >>") }} where << key >> in (select << key >> from temp.keys_in_turn)
),

<% for child in e.children %>
<< child.name >> as (
    select
        << key >>,
        -- One text a line: lists of structs would take ten times the memory.
        '[' || string_agg(cast(to_json(struct_pack(
<% for column in child.key[1:] %>
            << column >> := << column >>,
<% endfor %>
<% for name in child.fields %>
            << name >> := << child.travelling(name) >><< "," if not loop.last >>
<% endfor %>
        )) as varchar), ',' order by position, << child.key[-1] >>) || ']' as lines,
        min('waits for ' || sku || ', which no one has told us of') filter (where not << "is_sku_known" if child.has_references else "true" >>) as waits_for
    from {{ ref("<< child.name >>") }}
    where removed_at is null and << key >> in (select << key >> from records)
    group by << key >>
),

<% endfor %>
asked as (
    select
        key as << key >>, flow,
        arg_max(kind, ledger_id) as kind, max(ledger_id) as asked_id
    from {{ ref("ledger_<< e.name >>") }}
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }}
    group by key, flow
),

links as (
    select key as << key >>, system, max(remote_id) as remote_id
    from {{ ref("links_<< e.name >>") }}
    where key in (select << key >> from records)
    group by key, system
),

<% if e.guarded %>
conflicts as (
    select << key >>, system, bool_or(on_foreign_write = 'restore') as is_restored,
        max('foreign write: ' || system || ' changed ' || field || ' from ' || coalesce(value_before, 'nothing') || ' to ' || coalesce(value_now, 'nothing') || '; a person decides')
            filter (where on_foreign_write = 'hold') as held_because
    from {{ ref("<< e.name >>_conflicts") }}
    group by << key >>, system
),

<% endif %>
<% if e.entity.match %>
matches as (
    select << key >>, min(
        if(doubt is null,
            'is being linked with ' || other || ', whose ' || agree_on || ' is the same',
            'may be ' || other || ', whose ' || agree_on || ' is the same, but ' || doubt || '; a person links it or sets it apart')
    ) as held_because
    from {{ ref("<< e.name >>_matches") }}
    where << key >> in (select << key >> from records)
    group by << key >>
),

<% endif %>
<% for name, out in e.outbound.items() %>
<% set reference = out.referenced if out.by_role and not e.originates_in(out) else None %>
<< name >> as (
    select
        '<< name >>' as flow,
<% if reference %>
        <% set field, target = reference %>
        parents.origin_system as system,
<% elif out.by_role and e.originates_in(out) %>
        records.origin_system as system,
<% else %>
        '<< out.takers[0] >>' as system,
<% endif %>
        records.<< key >>,
        coalesce(<< out.flow.when or "true" >>, false) and records.deleted_at is null as is_wanted,
        '<< out.action_on_leave >>' as action_on_leave,
        to_json(struct_pack(
            << key >> := records.<< key >>,
<% if reference %>
            << out.reference_name >>_remote_id := parents.origin_remote_id,
<% endif %>
<% for child in out.flow.with_ %>
            lines := cast(coalesce(<< child >>.lines, '[]') as json),
<% endfor %>
<% for field in out.flow.fields %>
            << field >> := << out.travelling_of(field) >><< "," if not loop.last >>
<% endfor %>
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
<% if e.fields %>
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in (<< out.flow.fields | listed >>))[1],
<% endif %>
<% for child in out.flow.with_ if e.child_named(child).has_references %>
            << child >>.waits_for,
<% endfor %>
<% for field, f in e.fields.items() if f.references %>
            if(not records.is_<< field >>_known, 'waits for ' || records.<< field >> || ', which no one has told us of', null),
<% endfor %>
<% if e.guarded %>
            conflicts.held_because,
<% endif %>
<% if e.entity.match %>
            matches.held_because,
<% endif %>
            null
        ) as held_because,
        case
<% if e.guarded %>
            when conflicts.is_restored then 'restore'
<% endif %>
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
<% if out.flow.mode == "canary" %>
        if(<< out.flow.canary or "false" >>, 'live', 'shadow') as mode,
<% else %>
        '<< out.flow.mode >>' as mode,
<% endif %>
        '<< out.flow.deliver >>' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
<% if reference %>
    <% set field, target = reference %>
    left join {{ ref("<< target.name >>") }} as parents on parents.<< target.key[0] >> = records.<< field >>
<% endif %>
<% for child in out.flow.with_ %>
    left join << child >> using (<< key >>)
<% endfor %>
    left join asked on asked.<< key >> = records.<< key >> and coalesce(asked.flow, '<< name >>') = '<< name >>'
    left join links on links.<< key >> = records.<< key >> and links.system = <% if reference %>parents.origin_system<% elif out.by_role and e.originates_in(out) %>records.origin_system<% else %>'<< out.takers[0] >>'<% endif %>

<% if e.guarded %>
    left join conflicts on conflicts.<< key >> = records.<< key >> and conflicts.system = <% if out.by_role %>'<< out.takers[0] >>'<% else %>'<< out.takers[0] >>'<% endif %>

<% endif %>
<% if e.entity.match %>
    left join matches on matches.<< key >> = records.<< key >>
<% endif %>
<% if reference %>
    where parents.origin_system in (<< out.takers | listed >>) or parents.origin_system is null
<% elif out.by_role and e.originates_in(out) %>
    where records.origin_system in (<< out.takers | listed >>)
<% endif %>
)<< "," if not loop.last >>
<% endfor %>

<% for name in e.outbound %>
select * from << name >>
<< "union all" if not loop.last >>
<% endfor %>

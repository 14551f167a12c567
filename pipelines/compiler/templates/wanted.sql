-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of << e.name >>: one row per flow, destination and record.
{{ config(tags=["sync_<< e.name >>"]) }}
<% set key = e.key[0] %>

with records as (
    select * from {{ ref("<< e.name >>") }} where << key >> in (select << key >> from {{ ref("touched_<< e.root.entity >>") }})
),

<% for child in e.children %>
<< child.name >> as (
    select
        << key >>,
<% if not child.tellers %>
        '[' || string_agg(line, ',' order by position, << child.key[-1] >>) || ']' as lines,
<% endif %>
<% for name, out in e.outbound.items() if child.name in out.chosen %>
        '[' || string_agg(line<< "_of_" ~ name if child.tellers >>, ',' order by position, << child.key[-1] >>) filter (where << out.chosen[child.name] >>) || ']' as lines_of_<< name >>,
<% endfor %>
<% if child.has_references or child.routing %>
        coalesce(
<% for name, field in child.fields.items() if field.references %>
            min('waits for ' || << name >> || ', which no one has told us of') filter (where not is_<< name >>_known),
<% if field.required %>
            min('its line ' || position || ' names no << name >>; name it where the line was written, or say in map/systems which one such lines mean') filter (where << name >> is null),
<% endif %>
<% endfor %>
<% if child.routing %>
            min('its line ' || position || ' fits ' || rival_places || '; make their conditions exclude each other in map/entities/<< child.name >>.yaml'),
<% endif %>
            null
        ) as waits_for
<% else %>
        null as waits_for
<% endif %>
    from (
        -- One text a line: lists of structs would take ten times the memory.
        select *<% for suffix, fields in child.texts(e) %>, cast(to_json(struct_pack(
<% for column in child.key[1:] %>
            << column >> := << column >>,
<% endfor %>
<% if child.routing %>
            ships_from := ships_from,
<% endif %>
<% for name in fields %>
            << name >> := << child.travelling(name) >><< "," if not loop.last >>
<% endfor %>
        )) as varchar) as line<< suffix >><% endfor %>

        from {{ ref("<< child.name >>") }}
        where removed_at is null and << key >> in (select << key >> from records)
    )
    group by << key >>
),

<% endfor %>
-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as << key >>, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_<< e.name >>") }}
    cross join (select unnest([<< e.outbound | list | listed >>]) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
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
<% if e.uniqueness.holding %>
-- Who is known longer keeps what two of them claim.
claimed as (
<% for name, rule in e.uniqueness.holding.items() %>
    select records.<< key >>, << e.uniqueness.reason(name, rule, "records", "min(elder." ~ key ~ ")") >> || '; mend one of the two' as held_because
    from records
    join {{ ref("<< e.name >>") }} as elder on << e.uniqueness.same(rule, "records", "elder") >> and elder.first_inbox_id < records.first_inbox_id
    group by records.<< key >><% for field in rule.fields %>, records.<< field >><% endfor %>

    << "union all" if not loop.last >>
<% endfor %>
),

<% endif %>
<% for name, limit in e.limits.rules.items() %>
-- << limit.meaning >>
beyond_<< name >> as (
    << e.limits.beyond(name, "select " ~ limit.per ~ " from records", table=in_dbt) >>
),

<% endfor %>
<% for name, out in e.outbound.items() %>
<% set reference = out.referenced if out.by_role and not e.originates_in(out) else None %>
<< name >> as (
    select
        '<< name >>' as flow,
<% if reference %>
        <% set field, target = reference %>
        parent_system as system,
<% elif out.by_role and e.originates_in(out) %>
        records.origin_system as system,
<% else %>
        '<< out.takers[0] >>' as system,
<% endif %>
        records.<< key >>,
        coalesce(<< out.flow.when or "true" >>, false) and records.deleted_at is null<% for child in out.shipping %> and << child >>.lines_of_<< name >> is not null<% endfor %> as is_wanted,
        '<< out.action_on_leave >>' as action_on_leave,
        to_json(struct_pack(
            << key >> := records.<< key >>,
<% if reference %>
            << out.reference_name >>_remote_id := parent_remote_id,
<% endif %>
<% for child in out.flow.with_ %>
            lines := cast(coalesce(<< child >>.lines<< "_of_" ~ name if child in out.chosen >>, '[]') as json),
<% endfor %>
<% for field in out.flow.fields %>
            << field >> := << out.travelling_of(field) >><< "," if not loop.last >>
<% endfor %>
        )) as payload,
<% if e.entity.says_who %>
        coalesce(links.remote_id, name_in(records.known_as, '<< out.takers[0] >>')) as remote_id,
<% else %>
        links.remote_id,
<% endif %>
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
<% for name, hold in e.entity.holds.items() %>
            if(<< hold.when >>, << (name ~ ": " ~ hold.meaning) | quoted >>, null),
<% endfor %>
<% if e.fields %>
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in (<< (out.flow.fields + e.between.rejecting) | listed >>))[1],
<% endif %>
<% for child in out.flow.with_ if e.child_named(child).has_references %>
            << child >>.waits_for,
<% endfor %>
<% for field, f in e.fields.items() if f.references %>
            if(not records.is_<< field >>_known, 'waits for ' || records.<< field >> || ', which no one has told us of', null),
<% if f.required %>
            if(records.<< field >> is null, 'names no << field >>; name it where the record was written', null),
<% endif %>
<% endfor %>
<% if e.guarded %>
            conflicts.held_because,
<% endif %>
<% if e.entity.match %>
            matches.held_because,
<% endif %>
<% if e.uniqueness.holding %>
            (select min(held_because) from claimed where claimed.<< key >> = records.<< key >>),
<% endif %>
<% for limit in e.limits.on(name) %>
            beyond_<< limit >>.held_because,
<% endfor %>
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
    left join (
        select << target.key[0] >> as parent_key, origin_system as parent_system, origin_remote_id as parent_remote_id
        from {{ ref("<< target.name >>") }}
    ) as parents on parent_key = records.<< field >>
<% endif %>
<% for child in out.flow.with_ %>
    left join << child >> using (<< key >>)
<% endfor %>
    left join asked on asked.<< key >> = records.<< key >> and asked.of_flow = '<< name >>'
    left join links on links.<< key >> = records.<< key >> and links.system = <% if reference %>parent_system<% elif out.by_role and e.originates_in(out) %>records.origin_system<% else %>'<< out.takers[0] >>'<% endif %>

<% if e.guarded %>
    left join conflicts on conflicts.<< key >> = records.<< key >> and conflicts.system = <% if out.by_role %>'<< out.takers[0] >>'<% else %>'<< out.takers[0] >>'<% endif %>

<% endif %>
<% if e.entity.match %>
    left join matches on matches.<< key >> = records.<< key >>
<% endif %>
<% for limit in e.limits.on(name) %>
    left join beyond_<< limit >> on beyond_<< limit >>.<< key >> = records.<< key >>
<% endfor %>
<% if reference %>
    where parent_system in (<< out.takers | listed >>) or parent_system is null
<% elif out.by_role and e.originates_in(out) %>
    where records.origin_system in (<< out.takers | listed >>)
<% endif %>
)<< "," if not loop.last >>
<% endfor %>

<% for name in e.outbound %>
select * from << name >>
<< "union all" if not loop.last >>
<% endfor %>

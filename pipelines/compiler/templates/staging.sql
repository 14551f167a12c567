<% set is_child = e.entity.parent is not none %>
-- generated from pipelines/map by `concord write`; do not edit
-- << "One row per line of a message" if is_child else "One row per message" >> about << e.name >>, in our words, cast and judged.
{{ config(tags=["sync_<< e.root.entity >>"]) }}

with
<% for source in e.sources %>
<% set hoist = source.hoist %>
<< source.name >> as (
<% if is_child %>
    -- Only what the lines need goes along: a payload of a thousand lines must not be copied a thousand times.
    with items as (
        select
            inbox_id, system, stream, received_at, heard,
            unnest(items) as item, generate_subscripts(items, 1) as position
        from (
            select
                inbox_id, system, stream, received_at,
                json_extract(payload, [<< hoist.places.payload | listed >>]) as heard,
                as_list(<< source.says.unfold >>) as items
            from {{ ref("landing_<< e.root.entity >>") }}
            where system = '<< source.system.system >>' and stream = '<< source.stream_name >>'
        )
    ),
    lines as (
        select * exclude (item), json_extract(item, [<< hoist.places.item | listed >>]) as item_heard
        from items
    )
<% endif %>
    select
        inbox_id, system, stream, received_at, '<< source.system.time_zone >>' as zone,
<% if is_child %>
        position,
<% if e.tellers %>
        << hoist(e.tellers.echo(source.says)) >> as is_echo,
<% endif %>
<% for column in e.key %>
<% if loop.index <= source.says.key | length %>
        told(<< hoist(source.says.key[loop.index0]) >>) as << column >>,
<% else %>
        told(<< hoist(source.says.line) >>) || '#' || row_number() over (partition by inbox_id, << hoist(source.says.line) >> order by position) as << column >>,
<% endif %>
<% endfor %>
<% else %>
        arrived_by, file_name, row_number, << "0" if source.system.clock == "file" else "tie_of_body(body_hash)" >> as tie,
        told(<< hoist(source.remote_id) >>) as remote_id,
<% for column in e.key %>
        told(<< hoist(source.says.key[loop.index0]) >>) as << column >>,
<% endfor %>
<% if source.occurred_at %>
        told(<< hoist(source.occurred_at) >>) as occurred_at_told, true as has_clock,
<% else %>
        cast(null as varchar) as occurred_at_told, false as has_clock,
<% endif %>
        coalesce(<< hoist(source.says.originates) >>, false) as may_originate,
        << "true" if source.stream.messages == "delete" else "false" >> as is_deletion,
        << hoist(source.tells_lines) >> as tells_lines,
<% endif %>
<% for name in e.fields %>
        << source.told(name) >> as << name >>_told,
<% endfor %>
        struct_pack(
<% for name in e.fields %>
            << name >> := << source.is_said(name) >><< "," if not loop.last >>
<% endfor %>
        ) as said
<% if is_child %>
    from lines
<% else %>
    from (
        select
            *, json_extract(payload, [<< hoist.places.payload | listed >>]) as heard,
            << source.stream.file.as_of if source.stream.file and source.stream.file.as_of else "cast(null as varchar)" >> as as_of
        from {{ ref("landing_<< e.root.entity >>") }}
        where system = '<< source.system.system >>' and stream = '<< source.stream_name >>'
    )
<% endif %>
<% if source.says.when %>
    where << hoist(source.says.when) >>
<% endif %>
),
<% endfor %>

messages as (
<% for source in e.sources %>
    select * from << source.name >><< " union all by name" if not loop.last >>
<% endfor %>
),

cast_to_type as (
    select
        *,
<% if e.entity.currency %>
        minor_units(<< e.cast(e.entity.currency) >>) as currency_units,
<% endif %>
<% if not is_child %>
        coalesce(as_instant(occurred_at_told, zone), if(has_clock, null, received_at)) as occurred_at,
<% endif %>
<% for name in e.fields %>
        << e.cast(name) >> as << name >><< "," if not loop.last >>
<% endfor %>
    from messages
),

judged as (
    select
        *,
        struct_pack(
<% for name, field in e.fields.items() %>
<% set owners = e.owners(name) %>
<% set bad = e.not_of_its_type(name) %>
            << name >> := <% if not owners or field.severity == "warn" or not (bad or field.required or field.rule or (field.type == "money" and e.entity.currency)) %>cast(null as varchar)<% else %>case
                when system not in (<< owners | listed >>) or not said.<< name >> then null
<% if bad %>
                when << name >>_told is not null and << bad[0] >> then '«' || << name >>_told || '» << bad[1] >>'
<% endif %>
<% if field.type == "money" and e.entity.currency %>
                when not fits_units(<< name >>, currency_units) then '«' || << name >>_told || '» has more decimals than ' || << e.entity.currency >>
<% endif %>
<% if field.required %>
                when << name >> is null then 'is missing'
<% endif %>
<% if field.rule %>
                when not (<< field.rule >>) then '«' || coalesce(<< name >>_told, 'nothing') || '» breaks the rule ' || << field.rule | quoted >>
<% endif %>
            end<% endif %><< "," if not loop.last >>
<% endfor %>
        ) as broken,
        list_filter([
<% for name, field in e.fields.items() if field.severity == "warn" and e.owners(name) and (e.not_of_its_type(name) or field.rule) %>
<% set bad = e.not_of_its_type(name) %>
            if(system in (<< e.owners(name) | listed >>) and said.<< name >> and << name >>_told is not null and not coalesce(not (<< bad[0] if bad else "false" >>)<% if field.rule %> and (<< field.rule >>)<% endif %>, true), '<< name >>: «' || << name >>_told || '» << bad[1] if bad else "breaks its rule" >>', null),
<% endfor %>
<% for name, field in e.fields.items() if field.severity == "warn" and field.required and e.owners(name) %>
            if(system in (<< e.owners(name) | listed >>) and said.<< name >> and << name >> is null, '<< name >>: is missing', null),
<% endfor %>
<% for name, rule in e.rules_within.items() if rule.severity == "warn" %>
            if(not coalesce(<< rule.that >>, true), << (name ~ ": breaks the rule " ~ rule.that) | quoted >>, null),
<% endfor %>
            cast(null as varchar)
        ], lambda reason: reason is not null)<% if e.postal_form %> || if(
            system in (<< e.owners(e.entity.address.country) | listed >>) and said.<< e.entity.address.country >>,
            << e.postal_form.faults >>, []
        )<% endif %> as warnings
    from cast_to_type
)
<% if not is_child %>
<% for child in e.children if child.sources %>
,
bad_<< child.name >> as (
    select
        inbox_id,
        list('line ' || position || coalesce(' (' || sku || ')', '') || ' ' || reason order by position, reason) as reasons
    from (
        select inbox_id, position, << "sku" if "sku" in child.fields else "null as sku" >>, unnest(reasons) as reason
        from {{ ref("stg_<< child.name >>") }}
        where len(reasons) > 0
<% if child.has_line_ids %>
        union all
        select inbox_id, max(position), << "arg_max(sku, position)" if "sku" in child.fields else "null" >>, 'has the id of another line: ' || << child.key[-1] >>
        from {{ ref("stg_<< child.name >>") }}
        where << child.key[-1] >> is not null
        group by inbox_id, << child.key[-1] >>
        having count(*) > 1
<% endif %>
    )
    group by inbox_id
)
<% endfor %>
<% for child in e.children if child.sources and child.is_doubted %>
,
doubtful_<< child.name >> as (
    select inbox_id, list('<< child.name >>: ' || << child.key[-1] >> || ' ' || warning order by position, warning) as doubts
    from (
        select inbox_id, position, << child.key[-1] >>, unnest(warnings) as warning
        from {{ ref("stg_<< child.name >>") }}
        where len(warnings) > 0
    )
    group by inbox_id
)
<% endfor %>
<% if e.sum %>
<% include "sums.sql" %>
<% endif %>
,
rejections as (
    select
        judged.*<% if e.more_warnings %> replace (warnings<% for one in e.more_warnings %> || coalesce(<< one >>, [])<% endfor %> as warnings)<% endif %>,
        list_filter([
<% for column in e.key %>
            if(<< column >> is null, '<< column >> is missing', null),
<% endfor %>
            case
                when has_clock and occurred_at_told is null then 'the message does not say when it happened'
                when occurred_at is null then '«' || occurred_at_told || '» is not a time'
                when occurred_at > received_at + interval 5 minutes then '«' || occurred_at_told || '» lies in the future'
                when occurred_at < timestamptz '1970-01-01' then '«' || occurred_at_told || '» lies before 1970'
            end,
<% if e.entity.currency %>
            'currency ' || broken.<< e.entity.currency >>,
<% endif %>
<% for name, rule in e.rules_within.items() if rule.severity == "reject" %>
            if(not coalesce(<< rule.that >>, true), << (name ~ ": breaks the rule " ~ rule.that) | quoted >>, null),
<% endfor %>
            null
        ], lambda reason: reason is not null)
<% for child in e.children if child.sources %>
            || coalesce(bad_<< child.name >>.reasons, [])
<% endfor %>
<% if e.sum and e.sum.told.severity == "reject" %>
            || coalesce(sums.reasons, [])
<% endif %>
            as rejections
    from judged
<% for child in e.children if child.sources %>
    left join bad_<< child.name >> using (inbox_id)
<% endfor %>
<% for child in e.children if child.sources and child.is_doubted %>
    left join doubtful_<< child.name >> using (inbox_id)
<% endfor %>
<% if e.sum %>
    left join sums using (inbox_id)
<% endif %>
)
<% endif %>

select
    inbox_id, system, stream, received_at,
<% if is_child %>
    position,
<% if e.tellers %>
    is_echo,
<% endif %>
<% for column in e.key %>
    << column >>,
<% endfor %>
<% for name in e.fields %>
    << name >>,
<% endfor %>
    said, broken, warnings,
    list_filter([
<% for column in e.key[1:] %>
        if(<< column >> is null, '<< column >> is missing', null),
<% endfor %>
<% for name in e.fields %>
        '<< name >> ' || broken.<< name >><< "," if not loop.last >>
<% endfor %>
    ], lambda reason: reason is not null) as reasons
from judged
<% else %>
    arrived_by, file_name, row_number, remote_id,
<% for column in e.key %>
    << column >>,
<% endfor %>
    -- A time that cannot be says nothing of the message's place among others.
    occurred_at, if(
        occurred_at between timestamptz '1970-01-01' and received_at + interval 5 minutes, order_key_of(occurred_at, tie, inbox_id), null
    ) as order_key,
    may_originate, is_deletion, tells_lines,
<% for name in e.fields %>
    << name >>,
<% endfor %>
    said, broken, warnings,
    len(rejections) > 0 as is_rejected,
    rejections || list_filter([
<% for name in e.fields if name != e.entity.currency %>
        '<< name >> ' || broken.<< name >><< "," if not loop.last >>
<% endfor %>
    ], lambda reason: reason is not null) as reasons
from rejections
<% endif %>

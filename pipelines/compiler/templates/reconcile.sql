-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about << e.name >>, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "<< e.key[0] >>", "sampled": "stg_<< e.name >>", "counted": "snapshots_<< e.name >>", "at_once": 1000000},
    tags=["reconcile_<< e.name >>"],
) }}
<% set key = e.key[0] %>
<% set held_key = "coalesce(links.key, stg." ~ key ~ ")" if e.key | length == 1 else "stg." ~ key %>

with held as (
    select stg.* exclude (<< key >>), << held_key >> as << key >>
    from {{ ref("snapshots_<< e.name >>") }} as snapshots
    join {{ ref("stg_<< e.name >>") }} as stg using (inbox_id)
    left join {{ ref("links_<< e.name >>") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(<< held_key >>)
<% if e.never_looked_at %>

    union all by name

    -- Who only ever sends cannot be looked at: what was told is what is held.
    select stg.* exclude (<< key >>), << held_key >> as << key >>
    from {{ ref("stg_<< e.name >>") }} as stg
    left join {{ ref("links_<< e.name >>") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where stg.system in (<< e.never_looked_at | listed >>) and in_turn(<< held_key >>)
    qualify row_number() over (partition by stg.system, stg.remote_id order by stg.order_key desc) = 1 and not stg.is_deletion
<% endif %>
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_<< e.name >>") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_<< e.name >>") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_<< e.name >>") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),
<% if e.outbound %>

<% set asks_who_wants = e.entity.reconcile.values() | selectattr("by_hand") | list %>
holds as (
    select << key >>, flow, max(held_because) as held_because<< ", bool_or(is_wanted) as is_wanted" if asks_who_wants >>
    from {{ ref("wanted_<< e.name >>") }}
    where << "" if asks_who_wants else "held_because is not null and " >>in_turn(<< key >>)
    group by << key >>, flow
),
<% endif %>

<% for name, proof in e.reconciliations.items() %>
<% if proof.each %>
<% include "reconcile_rows.sql" %><< "," if not loop.last >>
<% else %>
<% for side in proof.sides %>
<< name >>_<< side.name >> as (
<% if side.is_us %>
    select << key >>, cast(last_received_at as timestamptz) as told_at, 1 as copies,
<% for field in proof.fields %>
        << proof.ours(field) >><< " as " ~ field if proof.ours(field) != field >>,
<% endfor %>
    from {{ ref("<< e.name >>") }}
    where in_turn(<< key >>) and deleted_at is null<% if proof.gone %> and not coalesce(<< proof.gone >>, false)<% endif %>

<% else %>
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
<% for field in proof.fields %>
        stg.<< field >>,
<% endfor %>
    from (
        select
            << key >>, max(received_at) as told_at, count(distinct remote_id) as copies,
<% if e.entity.of %>
            arg_max(remote_id, order_key) as remote_id,
<% endif %>
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in (<< side.systems | listed >>) and << key >> is not null<% if proof.gone %> and not coalesce(<< proof.gone >>, false)<% endif %>

        group by << key >>
    ) as newest
    join {{ ref("stg_<< e.name >>") }} as stg using (inbox_id<< ", remote_id" if e.entity.of >>)
<% endif %>
),
<% endfor %>

<< name >>_looked as (
    select << proof.look_at(proof.sides[0]) >> as at_one, << proof.look_at(proof.sides[1]) >> as at_other
),

<< name >> as (
    select
        '<< name >>' as reconciliation, coalesce(one.<< key >>, other.<< key >>) as << key >>,
        '<< proof.sides[0].name >>' as one_side, '<< proof.sides[1].name >>' as other_side,
        unnest(case
            when other.<< key >> is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.<< key >> is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
<% for field, tolerance in proof.fields.items() %>
                if(<% if tolerance == "exact" %>one.<< field >> is distinct from other.<< field >><% else %>one.<< field >> is distinct from other.<< field >> and not coalesce(abs(one.<< field >> - other.<< field >>) <= << tolerance >>, false)<% endif %>,
                    struct_pack(kind := 'differs', field := '<< field >>', one_value := << e.travelling(field, "one.") >>, other_value := << e.travelling(field, "other.") >>), null),
<% endfor %>
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at<% if proof.gone %>,
        records.<< key >> is not null and << proof.gone_of("records") >> as is_gone<% endif %>

    from << name >>_<< proof.sides[0].name >> as one
    full join << name >>_<< proof.sides[1].name >> as other using (<< key >>)
    join << name >>_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in (<< proof.destinations | listed >>) group by key
    ) as delivered on delivered.key = coalesce(one.<< key >>, other.<< key >>)
<% if proof.when or proof.gone %>
    left join {{ ref("<< e.name >>") }} as records on records.<< key >> = coalesce(one.<< key >>, other.<< key >>) and in_turn(records.<< key >>)
<% set stays = e.entity.exists and e.entity.exists.on_delete in ["cancel", "archive"] and not proof.gone %>
    where case when one.<< key >> is null then << "records.deleted_at is null" if stays else "true" >> else << proof.when_of("records") >> end
<% endif %>
)<< "," if not loop.last >>
<% endif %>
<% endfor %>

select
    found.reconciliation, << key >>, one_side, other_side,
    case
        when difference.kind <> 'duplicate' and since > looked_at - to_seconds(within) then 'late'
        when ignored_until > {{ moment() }} then 'ignored'
        else difference.kind
    end as kind,
    difference.kind as would_be,
    difference.field as field, difference.one_value as one_value, difference.other_value as other_value,
    since, looked_at, greatest(looked_at - since, interval 0 seconds) as age, steward, repair, ignored_until
from (
<% for name, proof in e.reconciliations.items() %>
    select
        << name >>.*, << proof.within >> as within, '<< proof.steward >>' as steward,
        case difference.kind
            when 'missing there' then << proof.repair_by(proof.flow_to_other, "missing there") >>
<% set stranger = proof.repair_by(proof.brought_here, "missing here", "here") if proof.brought_here else proof.by_hand("missing here") or "'find out who made it in " ~ proof.sides[1].name ~ "; link it with `concord link` or delete it there'" %>
            when 'missing here' then << "if(is_gone, " ~ proof.repair_by(proof.flow_to_other, "") ~ ", " ~ stranger ~ ")" if proof.gone and proof.flow_to_other else stranger >>
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || << name >>.<< key >> || '` names them'
            else << proof.repair_by(proof.mending, "differs") >>
        end as repair
    from << name >>
<% if proof.flow_to_other or proof.flow_to_one %>
    left join holds on holds.<< key >> = << name >>.<< key >> and holds.flow = '<< proof.flow_to_other or proof.flow_to_one >>'
<% endif %>
<% if proof.brought_here %>
    left join holds as here on here.<< key >> = << name >>.<< key >> and here.flow = '<< proof.brought_here >>'
<% endif %>
    << "union all" if not loop.last >>
<% endfor %>
) as found
left join ignored
    on ignored.key = found.<< key >> and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

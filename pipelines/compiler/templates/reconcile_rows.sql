<% set rows = e.child_named(proof.told.each) %>
<% set part = rows.key[-1] %>
<% set other = proof.sides[1] %>
<< name >>_held as (
    -- What each system's newest message says of each.
    select
        held.<< key >>, rows.<< part >>, held.received_at as told_at,
<% for field in proof.fields %>
        rows.<< field >>,
<% endfor %>
    from held
    join {{ ref("stg_<< rows.name >>") }} as rows using (inbox_id)
    where held.system in (<< other.systems | listed >>) and held.<< key >> is not null
    qualify row_number() over (partition by held.<< key >>, rows.<< part >> order by held.order_key desc) = 1
),

<< name >> as (
    select
        '<< name >>' as reconciliation, one.<< key >>, '<< proof.sides[0].name >>' as one_side, '<< other.name >>' as other_side,
        unnest(if(
            other.<< part >> is null,
            [struct_pack(kind := 'missing there', field := one.<< part >>, one_value := null, other_value := null)],
            list_filter([
<% for field in proof.fields %>
                if(plainly(one.<< field >>) is distinct from plainly(other.<< field >>),
                    struct_pack(kind := 'differs', field := one.<< part >> || ' << field >>', one_value := one.<< field >>, other_value := other.<< field >>), null),
<% endfor %>
            ], lambda difference: difference is not null)
        )) as difference,
        greatest(cast(records.last_received_at as timestamptz), other.told_at, delivered.at) as since,
        looked.looked_at
    from {{ ref("<< rows.name >>") }} as one
    join {{ ref("<< e.name >>") }} as records using (<< key >>)
    left join << name >>_held as other on other.<< key >> = one.<< key >> and other.<< part >> = one.<< part >>
    join (select << proof.look_at(other) >> as looked_at) as looked on looked.looked_at is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in (<< proof.destinations | listed >>) group by key
    ) as delivered on delivered.key = one.<< key >>
    where in_turn(one.<< key >>) and one.removed_at is null and records.deleted_at is null and coalesce(<< proof.when_of("records") >>, false)
)

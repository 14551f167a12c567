-- generated from pipelines/map by `concord write`; do not edit
-- One row per customer, whichever system knew them first. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_customers"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_customers"), ref("links_customers"), ref("touched_customers"), key="customer_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        customer_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by customer_number
),

settled as (
    select
        customer_number, origin_system, origin_remote_id,
        coalesce({{ latest("name", owner="system = 'shopify'") }}, {{ latest("name", owner="system = 'tryton'") }}, {{ latest("name", owner="system = 'tryton_crm'") }}) as name,
        coalesce({{ latest("email", owner="system = 'shopify'") }}, {{ latest("email", owner="system = 'tryton'") }}, {{ latest("email", owner="system = 'tryton_crm'") }}) as email,
        coalesce({{ latest("phone", owner="system = 'shopify'") }}, {{ latest("phone", owner="system = 'tryton'") }}, {{ latest("phone", owner="system = 'tryton_crm'") }}) as phone,
        coalesce({{ latest("country", owner="system = 'shopify'") }}, {{ latest("country", owner="system = 'tryton'") }}) as country,
        {{ latest("erp_number", owner="system = 'tryton'") }} as erp_number,
        {{ latest("tax_number", owner="system = 'tryton'") }} as tax_number,
        {{ latest("shop_number", owner="system = 'shopify'") }} as shop_number,
        {{ latest("carried_number", owner="system = 'tryton'") }} as carried_number,
        {{ latest("price_group", owner="system = 'tryton'") }} as price_group,
        {{ latest("shop_group", owner="system = 'shopify'") }} as shop_group,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'shopify' or system = 'tryton' or system = 'tryton_crm'), order_key, null)) as deleted_at,
        arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)) as lines_inbox_id,
        list_distinct([
            coalesce({{ winner_of("name", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("name", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("name", owner="system = 'tryton_crm'", by="order_key") }}),
            coalesce({{ winner_of("email", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("email", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("email", owner="system = 'tryton_crm'", by="order_key") }}),
            coalesce({{ winner_of("phone", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("phone", owner="system = 'tryton'", by="order_key") }}, {{ winner_of("phone", owner="system = 'tryton_crm'", by="order_key") }}),
            coalesce({{ winner_of("country", owner="system = 'shopify'", by="order_key") }}, {{ winner_of("country", owner="system = 'tryton'", by="order_key") }}),
            {{ winner_of("erp_number", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("tax_number", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("shop_number", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("carried_number", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("price_group", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("shop_group", owner="system = 'shopify'", by="order_key") }},
            arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)),
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'shopify' or system = 'tryton' or system = 'tryton_crm'), order_key, null))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(if(is_rejected and system = origin_system, order_key, null))
                > max(if(not is_rejected and system = origin_system, order_key, null)), false
        ) then arg_max(reasons[1], if(is_rejected and system = origin_system, order_key, null)) end as rejected_since,
        bool_or(len(reasons) + len(warnings) > 0 and not is_rejected) as has_broken_fields,
        list_sort(list(distinct struct_pack(system := system, remote_id := remote_id)) filter (where remote_id is not null and not is_rejected)) as known_as,
        min(if(is_rejected, null, inbox_id)) as first_inbox_id,
        max(if(not is_rejected and system = origin_system, occurred_at, null)) as changed_at,
        max(if(is_rejected, null, inbox_id)) as last_inbox_id,
        max(if(is_rejected, null, received_at)) as last_received_at
    from messages
    join origins using (customer_number)
    group by customer_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        customer_number,
        list_filter([
            'name ' || arg_max_null(broken.name, if(said.name and not is_rejected and ((system = 'shopify') or (system = 'tryton') or (system = 'tryton_crm')), order_key, null)),
            'email ' || arg_max_null(broken.email, if(said.email and not is_rejected and ((system = 'shopify') or (system = 'tryton') or (system = 'tryton_crm')), order_key, null)),
            'erp_number ' || arg_max_null(broken.erp_number, if(said.erp_number and not is_rejected and system = 'tryton', order_key, null)),
            'tax_number ' || arg_max_null(broken.tax_number, if(said.tax_number and not is_rejected and system = 'tryton', order_key, null)),
            'shop_number ' || arg_max_null(broken.shop_number, if(said.shop_number and not is_rejected and system = 'shopify', order_key, null)),
            'carried_number ' || arg_max_null(broken.carried_number, if(said.carried_number and not is_rejected and system = 'tryton', order_key, null)),
            'price_group ' || arg_max_null(broken.price_group, if(said.price_group and not is_rejected and system = 'tryton', order_key, null)),
            'shop_group ' || arg_max_null(broken.shop_group, if(said.shop_group and not is_rejected and system = 'shopify', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select customer_number, origin_system from settled where has_broken_fields) using (customer_number)
    group by customer_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as customer_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'name', ledger_id, null)) as name_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'email', ledger_id, null)) as email_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'phone', ledger_id, null)) as phone_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'country', ledger_id, null)) as country_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'erp_number', ledger_id, null)) as erp_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'tax_number', ledger_id, null)) as tax_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'shop_number', ledger_id, null)) as shop_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'carried_number', ledger_id, null)) as carried_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'price_group', ledger_id, null)) as price_group_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'shop_group', ledger_id, null)) as shop_group_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_customers") }}
        where kind in ('decided', 'revoked') and key in (select customer_number from {{ ref("touched_customers") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.customer_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.name_told, settled.name) as varchar) as name,
    cast(coalesce(lower(decisions.email_told), settled.email) as varchar) as email,
    cast(coalesce(decisions.phone_told, settled.phone) as varchar) as phone,
    cast(coalesce(upper(decisions.country_told), settled.country) as varchar) as country,
    cast(coalesce(decisions.erp_number_told, settled.erp_number) as varchar) as erp_number,
    cast(coalesce(decisions.tax_number_told, settled.tax_number) as varchar) as tax_number,
    cast(coalesce(decisions.shop_number_told, settled.shop_number) as varchar) as shop_number,
    cast(coalesce(decisions.carried_number_told, settled.carried_number) as varchar) as carried_number,
    cast(coalesce(decisions.price_group_told, settled.price_group) as varchar) as price_group,
    cast(coalesce(decisions.shop_group_told, settled.shop_group) as varchar) as shop_group,
    lines_inbox_id,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, known_as, first_inbox_id, last_inbox_id, last_received_at
from settled
left join flags using (customer_number)
left join decisions using (customer_number)

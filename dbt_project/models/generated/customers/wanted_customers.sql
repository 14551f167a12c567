-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of customers: one row per flow, destination and record.
{{ config(tags=["sync_customers"]) }}

with records as (
    select * from {{ ref("customers") }} where customer_number in (select customer_number from {{ ref("touched_customers") }})
),

addresses as (
    select
        customer_number,
        '[' || string_agg(line_of_customers_to_crm, ',' order by position, kind) filter (where told_by not in ('tryton_crm')) || ']' as lines_of_customers_to_crm,
        '[' || string_agg(line_of_numbers_to_crm, ',' order by position, kind) filter (where told_by not in ('tryton_crm')) || ']' as lines_of_numbers_to_crm,
        '[' || string_agg(line_of_numbers_to_storefront, ',' order by position, kind) filter (where told_by not in ('shopify')) || ']' as lines_of_numbers_to_storefront,
        '[' || string_agg(line_of_numbers_to_erp, ',' order by position, kind) filter (where told_by not in ('tryton')) || ']' as lines_of_numbers_to_erp,
        null as waits_for
    from (
        -- One text a line: lists of structs would take ten times the memory.
        select *, cast(to_json(struct_pack(
            kind := kind,
            name := name,
            street := street,
            city := city,
            area := area,
            postcode := postcode,
            country := country
        )) as varchar) as line_of_customers_to_crm, cast(to_json(struct_pack(
            kind := kind,
            name := name,
            street := street,
            city := city,
            area := area,
            postcode := postcode,
            country := country
        )) as varchar) as line_of_numbers_to_crm, cast(to_json(struct_pack(
            kind := kind,
            name := name,
            street := street,
            city := city,
            area := area,
            postcode := postcode,
            country := country
        )) as varchar) as line_of_numbers_to_storefront, cast(to_json(struct_pack(
            kind := kind,
            name := name,
            street := street,
            city := city,
            area := area,
            postcode := postcode,
            country := country
        )) as varchar) as line_of_numbers_to_erp
        from {{ ref("addresses") }}
        where removed_at is null and customer_number in (select customer_number from records)
    )
    group by customer_number
),

-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as customer_number, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_customers") }}
    cross join (select unnest(['customers_to_crm', 'numbers_to_crm', 'numbers_to_storefront', 'groups_to_storefront', 'numbers_to_erp']) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
),

links as (
    select key as customer_number, system, max(remote_id) as remote_id
    from {{ ref("links_customers") }}
    where key in (select customer_number from records)
    group by key, system
),

matches as (
    select customer_number, min(
        if(doubt is null,
            'is being linked with ' || other || ', whose ' || agree_on || ' is the same',
            'may be ' || other || ', whose ' || agree_on || ' is the same, but ' || doubt || '; a person links it or sets it apart')
    ) as held_because
    from {{ ref("customers_matches") }}
    where customer_number in (select customer_number from records)
    group by customer_number
),

customers_to_crm as (
    select
        'customers_to_crm' as flow,
        'tryton_crm' as system,
        records.customer_number,
        coalesce(origin_system <> 'tryton_crm' and (email is not null or phone is not null), false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            customer_number := records.customer_number,
            lines := cast(coalesce(addresses.lines_of_customers_to_crm, '[]') as json),
            name := records.name,
            email := records.email,
            phone := records.phone,
            erp_number := records.erp_number,
            shop_number := records.shop_number
        )) as payload,
        coalesce(links.remote_id, name_in(records.known_as, 'tryton_crm')) as remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('name', 'email', 'phone', 'erp_number', 'shop_number'))[1],
            matches.held_because,
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join addresses using (customer_number)
    left join asked on asked.customer_number = records.customer_number and asked.of_flow = 'customers_to_crm'
    left join links on links.customer_number = records.customer_number and links.system = 'tryton_crm'
    left join matches on matches.customer_number = records.customer_number
),
numbers_to_crm as (
    select
        'numbers_to_crm' as flow,
        'tryton_crm' as system,
        records.customer_number,
        coalesce(origin_system = 'tryton_crm' and (erp_number is not null or shop_number is not null), false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            customer_number := records.customer_number,
            lines := cast(coalesce(addresses.lines_of_numbers_to_crm, '[]') as json),
            erp_number := records.erp_number,
            shop_number := records.shop_number
        )) as payload,
        coalesce(links.remote_id, name_in(records.known_as, 'tryton_crm')) as remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('erp_number', 'shop_number'))[1],
            matches.held_because,
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join addresses using (customer_number)
    left join asked on asked.customer_number = records.customer_number and asked.of_flow = 'numbers_to_crm'
    left join links on links.customer_number = records.customer_number and links.system = 'tryton_crm'
    left join matches on matches.customer_number = records.customer_number
),
numbers_to_storefront as (
    select
        'numbers_to_storefront' as flow,
        'shopify' as system,
        records.customer_number,
        coalesce(erp_number is not null and shop_number is not null, false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            customer_number := records.customer_number,
            lines := cast(coalesce(addresses.lines_of_numbers_to_storefront, '[]') as json),
            erp_number := records.erp_number
        )) as payload,
        coalesce(links.remote_id, name_in(records.known_as, 'shopify')) as remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('erp_number'))[1],
            matches.held_because,
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join addresses using (customer_number)
    left join asked on asked.customer_number = records.customer_number and asked.of_flow = 'numbers_to_storefront'
    left join links on links.customer_number = records.customer_number and links.system = 'shopify'
    left join matches on matches.customer_number = records.customer_number
),
groups_to_storefront as (
    select
        'groups_to_storefront' as flow,
        'shopify' as system,
        records.customer_number,
        coalesce(price_group is not null and shop_number is not null, false) and records.deleted_at is null as is_wanted,
        'delete' as action_on_leave,
        to_json(struct_pack(
            customer_number := records.customer_number,
            price_group := records.price_group
        )) as payload,
        coalesce(links.remote_id, name_in(records.known_as, 'shopify')) as remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('price_group'))[1],
            matches.held_because,
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join asked on asked.customer_number = records.customer_number and asked.of_flow = 'groups_to_storefront'
    left join links on links.customer_number = records.customer_number and links.system = 'shopify'
    left join matches on matches.customer_number = records.customer_number
),
numbers_to_erp as (
    select
        'numbers_to_erp' as flow,
        'tryton' as system,
        records.customer_number,
        coalesce(erp_number is not null and shop_number is not null, false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            customer_number := records.customer_number,
            lines := cast(coalesce(addresses.lines_of_numbers_to_erp, '[]') as json),
            shop_number := records.shop_number
        )) as payload,
        coalesce(links.remote_id, name_in(records.known_as, 'tryton')) as remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('shop_number'))[1],
            matches.held_because,
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join addresses using (customer_number)
    left join asked on asked.customer_number = records.customer_number and asked.of_flow = 'numbers_to_erp'
    left join links on links.customer_number = records.customer_number and links.system = 'tryton'
    left join matches on matches.customer_number = records.customer_number
)

select * from customers_to_crm
union all
select * from numbers_to_crm
union all
select * from numbers_to_storefront
union all
select * from groups_to_storefront
union all
select * from numbers_to_erp

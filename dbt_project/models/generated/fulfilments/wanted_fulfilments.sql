-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of fulfilments: one row per flow, destination and record.
{{ config(tags=["sync_fulfilments"]) }}

with records as (
    select * from {{ ref("fulfilments") }} where fulfilment_number in (select fulfilment_number from {{ ref("touched_fulfilments") }})
),

fulfilment_lines as (
    select
        fulfilment_number,
        '[' || string_agg(line, ',' order by position, line_id) || ']' as lines,
        null as waits_for
    from (
        -- One text a line: lists of structs would take ten times the memory.
        select *, cast(to_json(struct_pack(
            line_id := line_id,
            sku := sku,
            quantity := cast(quantity as varchar)
        )) as varchar) as line
        from {{ ref("fulfilment_lines") }}
        where removed_at is null and fulfilment_number in (select fulfilment_number from records)
    )
    group by fulfilment_number
),

-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as fulfilment_number, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_fulfilments") }}
    cross join (select unnest(['despatch_to_storefront']) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
),

links as (
    select key as fulfilment_number, system, max(remote_id) as remote_id
    from {{ ref("links_fulfilments") }}
    where key in (select fulfilment_number from records)
    group by key, system
),

despatch_to_storefront as (
    select
        'despatch_to_storefront' as flow,
        parent_system as system,
        records.fulfilment_number,
        coalesce(status <> 'labelled', false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            fulfilment_number := records.fulfilment_number,
            order_remote_id := parent_remote_id,
            lines := cast(coalesce(fulfilment_lines.lines, '[]') as json),
            order_number := records.order_number,
            status := records.status,
            tracking_number := records.tracking_number,
            carrier := records.carrier,
            shipped_at := strftime(records.shipped_at, '%Y-%m-%dT%H:%M:%S.%fZ')
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('order_number', 'status', 'tracking_number', 'carrier', 'shipped_at'))[1],
            if(not records.is_order_number_known, 'waits for ' || records.order_number || ', which no one has told us of', null),
            if(records.order_number is null, 'names no order_number; name it where the record was written', null),
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
    left join (
        select order_number as parent_key, origin_system as parent_system, origin_remote_id as parent_remote_id
        from {{ ref("orders") }}
    ) as parents on parent_key = records.order_number
    left join fulfilment_lines using (fulfilment_number)
    left join asked on asked.fulfilment_number = records.fulfilment_number and asked.of_flow = 'despatch_to_storefront'
    left join links on links.fulfilment_number = records.fulfilment_number and links.system = parent_system
    where parent_system in ('shopify') or parent_system is null
)

select * from despatch_to_storefront

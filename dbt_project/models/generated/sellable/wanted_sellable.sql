-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of sellable: one row per flow, destination and record.
{{ config(tags=["sync_sellable"]) }}

with records as (
    select * from {{ ref("sellable") }} where sku in (select sku from {{ ref("touched_sellable") }})
),

-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as sku, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_sellable") }}
    cross join (select unnest(['sellable_to_storefront']) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
),

links as (
    select key as sku, system, max(remote_id) as remote_id
    from {{ ref("links_sellable") }}
    where key in (select sku from records)
    group by key, system
),

sellable_to_storefront as (
    select
        'sellable_to_storefront' as flow,
        'shopify' as system,
        records.sku,
        coalesce(true, false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            sku := records.sku,
            sellable := cast((greatest(sellable - 1, 0)) as varchar)
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('sellable'))[1],
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
    left join asked on asked.sku = records.sku and asked.of_flow = 'sellable_to_storefront'
    left join links on links.sku = records.sku and links.system = 'shopify'
)

select * from sellable_to_storefront

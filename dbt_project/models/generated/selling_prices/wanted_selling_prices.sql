-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of selling_prices: one row per flow, destination and record.
{{ config(tags=["sync_selling_prices"]) }}

with records as (
    select * from {{ ref("selling_prices") }} where place in (select place from {{ ref("touched_selling_prices") }})
),

-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as place, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_selling_prices") }}
    cross join (select unnest(['prices_to_storefront']) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
),

links as (
    select key as place, system, max(remote_id) as remote_id
    from {{ ref("links_selling_prices") }}
    where key in (select place from records)
    group by key, system
),

conflicts as (
    select place, system, bool_or(on_foreign_write = 'restore') as is_restored,
        max('foreign write: ' || system || ' changed ' || field || ' from ' || coalesce(value_before, 'nothing') || ' to ' || coalesce(value_now, 'nothing') || '; a person decides')
            filter (where on_foreign_write = 'hold') as held_because
    from {{ ref("selling_prices_conflicts") }}
    group by place, system
),

prices_to_storefront as (
    select
        'prices_to_storefront' as flow,
        'shopify' as system,
        records.place,
        coalesce(is_valid, false) and records.deleted_at is null as is_wanted,
        'delete' as action_on_leave,
        to_json(struct_pack(
            place := records.place,
            price_list := records.price_list,
            sku := records.sku,
            from_quantity := cast(records.from_quantity as varchar),
            amount := as_travelling(records.amount),
            currency := records.currency,
            includes_tax := cast(records.includes_tax as varchar),
            countries := records.countries
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('price_list', 'sku', 'from_quantity', 'amount', 'currency', 'includes_tax', 'countries'))[1],
            conflicts.held_because,
            null
        ) as held_because,
        case
            when conflicts.is_restored then 'restore'
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join asked on asked.place = records.place and asked.of_flow = 'prices_to_storefront'
    left join links on links.place = records.place and links.system = 'shopify'
    left join conflicts on conflicts.place = records.place and conflicts.system = 'shopify'
)

select * from prices_to_storefront

-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about products, the first that matches.
{{ config(tags=["sync_products"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_products"), ref("links_products"), ref("touched_products"), key="sku") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.sku) as sku)
        from {{ ref("stg_products") }} as stg
        left join {{ ref("links_products") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_products") }} using (sku)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, sku,
        system in ('tryton', 'shopify') as may_own
    from told
),

records as (
    select sku, winners
    from {{ ref("products") }}
    semi join {{ ref("touched_products") }} using (sku)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select sku from {{ ref("products") }} where false
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.sku) as key,
    case
        when is_quarantined then 'quarantined'
        when records.sku is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.sku in (select sku from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (sku)
left join winners on winners.inbox_id = messages.inbox_id

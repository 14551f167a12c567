-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about sellable, the first that matches.
{{ config(tags=["sync_sellable"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_sellable"), ref("links_sellable"), ref("touched_sellable"), key="sku") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.sku) as sku)
        from {{ ref("stg_sellable") }} as stg
        left join {{ ref("links_sellable") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_sellable") }} using (sku)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, sku,
        system in ('shopify') as may_own
    from told
)

select
    inbox_id, system, stream, received_at, concat_ws('|', sku) as key,
    if(is_quarantined, 'quarantined', 'ignored') as verdict
from messages

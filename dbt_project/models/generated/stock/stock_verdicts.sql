-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about stock, the first that matches.
{{ config(tags=["sync_stock"]) }}

with told as (
    select * from {{ ref("stg_stock") }} semi join {{ ref("touched_stock") }} using (sku, location)

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select * from {{ ref("stg_stock") }}
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_stock") }} using (sku, location)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, sku, location,
        system in ('tryton', 'warehouse') as may_own
    from told
),

records as (
    select sku, location, winners
    from {{ ref("stock") }}
    semi join {{ ref("touched_stock") }} using (sku, location)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select sku from {{ ref("stock") }} where false
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.sku, messages.location) as key,
    case
        when is_quarantined then 'quarantined'
        when records.sku is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.sku in (select sku from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (sku, location)
left join winners on winners.inbox_id = messages.inbox_id

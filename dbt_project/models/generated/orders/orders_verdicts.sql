-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about orders, the first that matches.
{{ config(tags=["sync_orders"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_orders"), ref("links_orders"), ref("touched_orders"), key="order_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.order_number) as order_number)
        from {{ ref("stg_orders") }} as stg
        left join {{ ref("links_orders") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_orders") }} using (order_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, order_number,
        system in ('shopify', 'wholesale', 'tryton') as may_own
    from told
),

records as (
    select order_number, winners
    from {{ ref("orders") }}
    semi join {{ ref("touched_orders") }} using (order_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select order_number from {{ ref("orders") }} where false
    union select order_number from {{ ref("order_lines") }} where not is_sku_known and removed_at is null
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.order_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.order_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.order_number in (select order_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (order_number)
left join winners on winners.inbox_id = messages.inbox_id

union all

-- What tells of other things alone.
select inbox_id, system, stream, received_at, null as key, 'ignored' as verdict
from {{ ref("landing_orders") }}
anti join {{ ref("stg_orders") }} using (inbox_id)
where {{ in_batch("inbox_id") }}

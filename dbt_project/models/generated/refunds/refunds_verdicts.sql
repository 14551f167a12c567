-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about refunds, the first that matches.
{{ config(tags=["sync_refunds"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_refunds"), ref("links_refunds"), ref("touched_refunds"), key="refund_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.refund_number) as refund_number)
        from {{ ref("stg_refunds") }} as stg
        left join {{ ref("links_refunds") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_refunds") }} using (refund_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, refund_number,
        system in ('shopify', 'stripe', 'tryton') as may_own
    from told
),

records as (
    select refund_number, winners
    from {{ ref("refunds") }}
    semi join {{ ref("touched_refunds") }} using (refund_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select refund_number from {{ ref("refunds") }} where false
    union select refund_number from {{ ref("refunds") }} where not is_order_number_known
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.refund_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.refund_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.refund_number in (select refund_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (refund_number)
left join winners on winners.inbox_id = messages.inbox_id

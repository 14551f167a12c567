-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about receipts, the first that matches.
{{ config(tags=["sync_receipts"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_receipts"), ref("links_receipts"), ref("touched_receipts"), key="receipt_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.receipt_number) as receipt_number)
        from {{ ref("stg_receipts") }} as stg
        left join {{ ref("links_receipts") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_receipts") }} using (receipt_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, receipt_number,
        system in ('warehouse', 'tryton') as may_own
    from told
),

records as (
    select receipt_number, winners
    from {{ ref("receipts") }}
    semi join {{ ref("touched_receipts") }} using (receipt_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select receipt_number from {{ ref("receipts") }} where false
    union select receipt_number from {{ ref("receipts") }} where not is_order_number_known
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.receipt_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.receipt_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.receipt_number in (select receipt_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (receipt_number)
left join winners on winners.inbox_id = messages.inbox_id

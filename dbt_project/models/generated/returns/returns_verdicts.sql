-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about returns, the first that matches.
{{ config(tags=["sync_returns"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_returns"), ref("links_returns"), ref("touched_returns"), key="return_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.return_number) as return_number)
        from {{ ref("stg_returns") }} as stg
        left join {{ ref("links_returns") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_returns") }} using (return_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, return_number,
        system in ('shopify') as may_own
    from told
),

records as (
    select return_number, winners
    from {{ ref("returns") }}
    semi join {{ ref("touched_returns") }} using (return_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select return_number from {{ ref("returns") }} where false
    union select return_number from {{ ref("returns") }} where not is_order_number_known
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.return_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.return_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.return_number in (select return_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (return_number)
left join winners on winners.inbox_id = messages.inbox_id

-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about fulfilments, the first that matches.
{{ config(tags=["sync_fulfilments"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_fulfilments"), ref("links_fulfilments"), ref("touched_fulfilments"), key="fulfilment_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.fulfilment_number) as fulfilment_number)
        from {{ ref("stg_fulfilments") }} as stg
        left join {{ ref("links_fulfilments") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_fulfilments") }} using (fulfilment_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, fulfilment_number,
        system in ('warehouse', 'tryton', 'parcelhub') as may_own
    from told
),

records as (
    select fulfilment_number, winners
    from {{ ref("fulfilments") }}
    semi join {{ ref("touched_fulfilments") }} using (fulfilment_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select fulfilment_number from {{ ref("fulfilments") }} where false
    union select fulfilment_number from {{ ref("fulfilments") }} where not is_order_number_known
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.fulfilment_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.fulfilment_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.fulfilment_number in (select fulfilment_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (fulfilment_number)
left join winners on winners.inbox_id = messages.inbox_id

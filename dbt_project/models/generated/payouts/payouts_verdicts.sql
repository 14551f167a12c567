-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about payouts, the first that matches.
{{ config(tags=["sync_payouts"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_payouts"), ref("links_payouts"), ref("touched_payouts"), key="payout_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.payout_number) as payout_number)
        from {{ ref("stg_payouts") }} as stg
        left join {{ ref("links_payouts") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_payouts") }} using (payout_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, payout_number,
        system in ('stripe') as may_own
    from told
),

records as (
    select payout_number, winners
    from {{ ref("payouts") }}
    semi join {{ ref("touched_payouts") }} using (payout_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select payout_number from {{ ref("payouts") }} where false
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.payout_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.payout_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.payout_number in (select payout_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (payout_number)
left join winners on winners.inbox_id = messages.inbox_id

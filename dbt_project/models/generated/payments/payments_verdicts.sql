-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about payments, the first that matches.
{{ config(tags=["sync_payments"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_payments"), ref("links_payments"), ref("touched_payments"), key="payment_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.payment_number) as payment_number)
        from {{ ref("stg_payments") }} as stg
        left join {{ ref("links_payments") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_payments") }} using (payment_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, payment_number,
        system in ('stripe') as may_own
    from told
),

records as (
    select payment_number, winners
    from {{ ref("payments") }}
    semi join {{ ref("touched_payments") }} using (payment_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select payment_number from {{ ref("payments") }} where false
    union select payment_number from {{ ref("payments") }} where not is_order_number_known
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.payment_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.payment_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.payment_number in (select payment_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (payment_number)
left join winners on winners.inbox_id = messages.inbox_id

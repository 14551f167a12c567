-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about balance_transactions, the first that matches.
{{ config(tags=["sync_balance_transactions"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_balance_transactions"), ref("links_balance_transactions"), ref("touched_balance_transactions"), key="transaction_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.transaction_number) as transaction_number)
        from {{ ref("stg_balance_transactions") }} as stg
        left join {{ ref("links_balance_transactions") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_balance_transactions") }} using (transaction_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, transaction_number,
        system in ('stripe') as may_own
    from told
),

records as (
    select transaction_number, winners
    from {{ ref("balance_transactions") }}
    semi join {{ ref("touched_balance_transactions") }} using (transaction_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select transaction_number from {{ ref("balance_transactions") }} where false
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.transaction_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.transaction_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.transaction_number in (select transaction_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (transaction_number)
left join winners on winners.inbox_id = messages.inbox_id

-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about customers, the first that matches.
{{ config(tags=["sync_customers"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_customers"), ref("links_customers"), ref("touched_customers"), key="customer_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.customer_number) as customer_number)
        from {{ ref("stg_customers") }} as stg
        left join {{ ref("links_customers") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_customers") }} using (customer_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, customer_number,
        system in ('shopify', 'tryton', 'tryton_crm') as may_own
    from told
),

records as (
    select customer_number, winners
    from {{ ref("customers") }}
    semi join {{ ref("touched_customers") }} using (customer_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select customer_number from {{ ref("customers") }} where false
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.customer_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.customer_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.customer_number in (select customer_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (customer_number)
left join winners on winners.inbox_id = messages.inbox_id

union all

-- What tells of other things alone.
select inbox_id, system, stream, received_at, null as key, 'ignored' as verdict
from {{ ref("landing_customers") }}
anti join {{ ref("stg_customers") }} using (inbox_id)
where {{ in_batch("inbox_id") }}

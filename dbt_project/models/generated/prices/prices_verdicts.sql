-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about prices, the first that matches.
{{ config(tags=["sync_prices"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_prices"), ref("links_prices"), ref("touched_prices"), key="price_number") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.price_number) as price_number)
        from {{ ref("stg_prices") }} as stg
        left join {{ ref("links_prices") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_prices") }} using (price_number)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, price_number,
        system in ('tryton', 'wholesale') as may_own
    from told
),

records as (
    select price_number, winners
    from {{ ref("prices") }}
    semi join {{ ref("touched_prices") }} using (price_number)
),

winners as (select distinct unnest(winners) as inbox_id from records),

-- Records that wait for another to be known.
waiting as (
    select price_number from {{ ref("prices") }} where false
    union select price_number from {{ ref("prices") }} where not is_sku_known
)

select
    messages.inbox_id, messages.system, messages.stream, messages.received_at,
    concat_ws('|', messages.price_number) as key,
    case
        when is_quarantined then 'quarantined'
        when records.price_number is null and may_own then 'pending'
        when winners.inbox_id is not null and messages.price_number in (select price_number from waiting) then 'pending'
        when winners.inbox_id is not null then 'applied'
        when may_own then 'superseded'
        else 'ignored'
    end as verdict
from messages
left join records using (price_number)
left join winners on winners.inbox_id = messages.inbox_id

union all

-- What tells of other things alone.
select inbox_id, system, stream, received_at, null as key, 'ignored' as verdict
from {{ ref("landing_prices") }}
anti join {{ ref("stg_prices") }} using (inbox_id)
where {{ in_batch("inbox_id") }}

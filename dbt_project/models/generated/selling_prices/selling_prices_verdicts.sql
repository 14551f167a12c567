-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about selling_prices, the first that matches.
{{ config(tags=["sync_selling_prices"]) }}

with told as (
    select * exclude (by_whom, told_as) from {{ told_of(ref("stg_selling_prices"), ref("links_selling_prices"), ref("touched_selling_prices"), key="place") }}

    union all by name

    -- Of the batch, what names no record that is settled.
    select * from (
        select stg.* replace (coalesce(links.key, stg.place) as place)
        from {{ ref("stg_selling_prices") }} as stg
        left join {{ ref("links_selling_prices") }} as links using (system, remote_id)
        where {{ in_batch("inbox_id") }}
    )
    anti join {{ ref("touched_selling_prices") }} using (place)
),

messages as (
    select
        inbox_id, system, stream, received_at, len(reasons) > 0 as is_quarantined, reasons, place,
        false as may_own
    from told
)

select
    inbox_id, system, stream, received_at, concat_ws('|', place) as key,
    if(is_quarantined, 'quarantined', 'ignored') as verdict
from messages

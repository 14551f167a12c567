-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about fulfilments, the first that matches.
{{ config(materialized="renewed", meta={"renews": "told", "column": "inbox_id"}, tags=["sync_fulfilments"]) }}

with messages as (
    select stg.inbox_id, stg.system, stg.stream, stg.received_at, len(stg.reasons) > 0 as is_quarantined, stg.reasons,
        coalesce(links.key, stg.fulfilment_number) as fulfilment_number,
        stg.system in ('warehouse', 'tryton') as may_own
    from {{ ref("stg_fulfilments") }} as stg
    left join {{ links("fulfilments") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }} or coalesce(links.key, stg.fulfilment_number) in (select fulfilment_number from {{ ref("touched_fulfilments") }})
)
,

winners as (
    select distinct unnest(winners) as inbox_id
    from {{ ref("fulfilments") }}
    semi join {{ ref("touched_fulfilments") }} using (fulfilment_number)
),

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
left join {{ ref("fulfilments") }} as records using (fulfilment_number)
left join winners on winners.inbox_id = messages.inbox_id

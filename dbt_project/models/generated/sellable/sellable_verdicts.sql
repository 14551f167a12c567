-- generated from pipelines/map by `concord write`; do not edit
-- The books: one verdict per message about sellable, the first that matches.
{{ config(materialized="renewed", meta={"renews": "told", "column": "inbox_id"}, tags=["sync_sellable"]) }}

with messages as (
    select stg.inbox_id, stg.system, stg.stream, stg.received_at, len(stg.reasons) > 0 as is_quarantined, stg.reasons,
        coalesce(links.key, stg.sku) as sku,
        false as may_own
    from {{ ref("stg_sellable") }} as stg
    left join {{ links("sellable") }} as links using (system, remote_id)
    where {{ in_batch("inbox_id") }} or coalesce(links.key, stg.sku) in (select sku from {{ ref("touched_sellable") }})
)

select
    inbox_id, system, stream, received_at, concat_ws('|', sku) as key,
    if(is_quarantined, 'quarantined', 'ignored') as verdict
from messages

-- generated from pipelines/map by `concord write`; do not edit
-- What each system held of << e.name >> when it was last looked at as a whole: which message tells each record.
{{ config(materialized="table", tags=["reconcile_<< e.name >>"]) }}

with newest as (
    select system, stream, max(snapshot_id) as snapshot_id
    from {{ source("concord", "snapshots") }}
    where finished_at is not null
    group by system, stream
)

-- a system that holds nothing was looked at, too: one row without a record
select newest.system, newest.stream, snapshots.finished_at, records.remote_id, records.inbox_id
from newest
join {{ source("concord", "snapshots") }} as snapshots using (snapshot_id)
left join {{ source("concord", "snapshot_records") }} as records using (snapshot_id)
where newest.system || '/' || newest.stream in (<< e.stream_names | listed >>)

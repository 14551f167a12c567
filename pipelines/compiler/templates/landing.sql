-- generated from pipelines/map by `concord write`; do not edit
-- Every message that speaks of << e.name >>, as it was kept.
{{ config(tags=["sync_<< e.name >>"]) }}

select
    inbox_id, system, stream, arrived_by, remote_id, body_hash, file_name, file_occurrence, row_number, received_at, payload
from {{ source("concord", "inbox") }}
where system || '/' || stream in (
<% for name in e.stream_names %>
        << name | quoted >><< "," if not loop.last >>
<% endfor %>
    )

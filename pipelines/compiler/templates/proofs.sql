-- generated from pipelines/map by `concord write`; do not edit
-- What the business proofs of << e.name >> found: each difference with its class, age, steward and next step.
{{ config(materialized="table", tags=["reconcile_<< e.name >>"]) }}

select
    proof, key, if(since > {{ moment() }} - to_seconds(within), 'late', kind) as kind, kind as would_be, one_value, other_value,
    since, greatest({{ moment() }} - since, interval 0 seconds) as age, steward, next_step
from (
<% for name, proof in e.entity.proofs.items() %>
    select '<< name >>' as proof, << proof.within >> as within, '<< proof.steward >>' as steward, * from {{ ref("<< name >>") }}
    << "union all by name" if not loop.last >>
<% endfor %>
)

-- generated from pipelines/map by `concord write`; do not edit
-- The << e.name >> that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_<< e.name >>"]) }}

with told as (
    select << e.key | join(", ") >>, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("<< e.name >>") }}
    union all
    select << e.key | join(", ") >>, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("<< e.name >>") }}
<% for name, rule in e.entity.unique.items() %>
    union all
    select mine.<< e.key[0] >>, mine.last_received_at, '<< rule.severity >>', << e.uniqueness.reason(name, rule, "mine", "string_agg(others." ~ e.key[0] ~ ", ', ' order by others." ~ e.key[0] ~ ")") >>
    from {{ ref("<< e.name >>") }} as mine
    join {{ ref("<< e.name >>") }} as others on << e.uniqueness.same(rule, "mine", "others") >>
    group by mine.<< e.key[0] >>, mine.last_received_at<% for field in rule.fields %>, mine.<< field >><% endfor %>

<% endfor %>
)

select
    '<< e.name >>' as entity, concat_ws('|', << e.key | join(", ") >>) as key, last_received_at, severity, reason,
<% if e.stewards_of_rules %>
    case regexp_extract(reason, '^\w+')
<% for name, steward in e.stewards_of_rules.items() %>
        when '<< name >>' then '<< steward >>'
<% endfor %>
        else '<< e.steward >>'
    end as steward,
<% else %>
    '<< e.steward >>' as steward,
<% endif %>
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/<< e.name >>.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/<< e.name >>.yaml'
    ) as next_step
from told

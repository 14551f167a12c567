-- generated from pipelines/map by `concord write`; do not edit
-- The customers that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_customers"]) }}

with told as (
    select customer_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("customers") }}
    union all
    select customer_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("customers") }}
    union all
    select mine.customer_number, mine.last_received_at, 'warn', 'one_customer_each: has the ' || concat_ws(', ', 'email') || ' of ' || string_agg(others.customer_number, ', ' order by others.customer_number)
    from {{ ref("customers") }} as mine
    join {{ ref("customers") }} as others on (mine.email = others.email and mine.customer_number <> others.customer_number and mine.deleted_at is null and others.deleted_at is null)
    group by mine.customer_number, mine.last_received_at, mine.email
)

select
    'customers' as entity, concat_ws('|', customer_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'one_customer_each' then 'team:service'
        else 'team:service'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/customers.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/customers.yaml'
    ) as next_step
from told

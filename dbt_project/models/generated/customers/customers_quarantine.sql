-- generated from pipelines/map by `concord write`; do not edit
-- What messages about customers broke: sender, record, reason, and what to do next.
{{ config(materialized="view", tags=["sync_customers"]) }}

select
    'customers' as entity, inbox_id, system, stream, remote_id, concat_ws('|', customer_number) as key, received_at,
    is_rejected, unnest(reasons) as reason,
    case system
        when 'shopify' then 'team:ecommerce'
        when 'tryton' then 'team:finance'
        when 'tryton_crm' then 'team:marketing'
    end as steward,
    if(
        is_rejected,
        'the whole message waits: mend the record in ' || system || ' and it sends the message again, or correct the map',
        'the last good value stays: mend the field in ' || system || ', or correct the rule in map/entities/customers.yaml'
    ) as next_step
from {{ ref("stg_customers") }}
where len(reasons) > 0

-- generated from pipelines/map by `concord write`; do not edit
-- The payments that break the contract as they stand: what is broken, who answers, and what to do next.
{{ config(materialized="view", tags=["sync_payments"]) }}

with told as (
    select payment_number, last_received_at, 'reject' as severity, unnest(flags) as reason from {{ ref("payments") }}
    union all
    select payment_number, last_received_at, 'warn' as severity, unnest(warnings) as reason from {{ ref("payments") }}
)

select
    'payments' as entity, concat_ws('|', payment_number) as key, last_received_at, severity, reason,
    case regexp_extract(reason, '^\w+')
        when 'captured_was_authorised' then 'team:finance'
        when 'refunded_was_captured' then 'team:finance'
        else 'team:finance'
    end as steward,
    if(
        severity = 'reject',
        'deliveries that carry it wait: mend it where it is owned, decide it (`concord decide`), or correct map/entities/payments.yaml',
        'deliveries go on: look at the record, and mend it where it is owned, or correct map/entities/payments.yaml'
    ) as next_step
from told

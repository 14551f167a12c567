-- One row per consent that a system shows and the person does not give, or gives and the system does not show.
{{ config(materialized="view", tags=["reconcile_consents"]) }}

with shown as (
    select consent_number, 'crm' as shown_by, crm_status as shown, status, since, wording, said_by, last_received_at
    from {{ ref("consents") }}
    where deleted_at is null
    union all
    select consent_number, 'storefront' as shown_by, storefront_status as shown, status, since, wording, said_by, last_received_at
    from {{ ref("consents") }}
    where deleted_at is null
)

select
    consent_number as key,
    'shown without consent' as kind,
    shown_by || ': ' || shown as one_value,
    status || ' since ' || strftime(since, '%Y-%m-%d %H:%M') || ' (' || said_by || ': ' || wording || ')' as other_value,
    last_received_at as since,
    'stop writing to this person now; `concord trace ' || consent_number || ' --entity consents` tells who said what, and '
        || '`concord repair ' || if(shown_by = 'crm', 'consents_to_crm ', 'withdrawals_to_storefront ') || consent_number
        || '` tells the system again' as next_step
from shown
where shown = 'subscribed' and status <> 'subscribed'

-- generated from pipelines/map by `concord write`; do not edit
-- One row per person and channel, whether that person may be written to there. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_consents"]) }}

with
messages as (
    select
        * exclude (by_whom) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_consents"), ref("links_consents"), ref("touched_consents"), key="consent_number") }}
),

-- Since when records that were told apart are known to be one.
joined as (
    select key as consent_number, max(happened_at) as joined_at
    from {{ ref("ledger_consents") }}
    where kind = 'linked' and by_whom <> 'courier' and key in (select consent_number from {{ ref("touched_consents") }})
    group by key
),

-- What the message said by which it stands.
decisive as (
    select consent_number, {{ withdrawn_wins("status", "struct_pack(inbox_id := inbox_id, status := status, channel := channel, since := since, level := level, wording := wording, said_by := said_by)", owner="((system = 'shopify') or (system = 'tryton_crm'))", ladder="['pending', 'subscribed', 'withdrawn']", lifted_by="system = 'tryton_crm' and status = 'subscribed' and level = 'confirmed'") }} as word
    from messages
    left join joined using (consent_number)
    group by consent_number
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        consent_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by consent_number
),

settled as (
    select
        consent_number, origin_system, origin_remote_id,
        any_value(word.channel) as channel,
        any_value(word.status) as status,
        any_value(word.since) as since,
        any_value(word.level) as level,
        any_value(word.wording) as wording,
        any_value(word.said_by) as said_by,
        {{ first("first_opted_in_at", owner="system = 'shopify'") }} as first_opted_in_at,
        {{ latest("storefront_status", owner="system = 'shopify'") }} as storefront_status,
        {{ latest("crm_status", owner="system = 'tryton_crm'") }} as crm_status,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'shopify' or system = 'tryton_crm'), order_key, null)) as deleted_at,
        list_distinct([
            any_value(word.inbox_id),
            {{ winner_of_first("first_opted_in_at", owner="system = 'shopify'") }},
            {{ winner_of("storefront_status", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("crm_status", owner="system = 'tryton_crm'", by="order_key") }},
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'shopify' or system = 'tryton_crm'), order_key, null))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(if(is_rejected and system = origin_system, order_key, null))
                > max(if(not is_rejected and system = origin_system, order_key, null)), false
        ) then arg_max(reasons[1], if(is_rejected and system = origin_system, order_key, null)) end as rejected_since,
        bool_or(len(reasons) + len(warnings) > 0 and not is_rejected) as has_broken_fields,
        list_sort(list(distinct struct_pack(system := system, remote_id := remote_id)) filter (where remote_id is not null and not is_rejected)) as known_as,
        max(if(not is_rejected and system = origin_system, occurred_at, null)) as changed_at,
        max(if(is_rejected, null, inbox_id)) as last_inbox_id,
        max(if(is_rejected, null, received_at)) as last_received_at
    from messages
    join origins using (consent_number)
    join decisive using (consent_number)
    group by consent_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        consent_number,
        list_filter([
            'channel ' || arg_max_null(broken.channel, if(said.channel and not is_rejected and ((system = 'shopify') or (system = 'tryton_crm')), order_key, null)),
            'status ' || arg_max_null(broken.status, if(said.status and not is_rejected and ((system = 'shopify') or (system = 'tryton_crm')), order_key, null)),
            'since ' || arg_max_null(broken.since, if(said.since and not is_rejected and ((system = 'shopify') or (system = 'tryton_crm')), order_key, null)),
            'level ' || arg_max_null(broken.level, if(said.level and not is_rejected and ((system = 'shopify') or (system = 'tryton_crm')), order_key, null)),
            'wording ' || arg_max_null(broken.wording, if(said.wording and not is_rejected and ((system = 'shopify') or (system = 'tryton_crm')), order_key, null)),
            'said_by ' || arg_max_null(broken.said_by, if(said.said_by and not is_rejected and ((system = 'shopify') or (system = 'tryton_crm')), order_key, null)),
            'first_opted_in_at ' || arg_max_null(broken.first_opted_in_at, if(said.first_opted_in_at and not is_rejected and system = 'shopify', order_key, null)),
            'storefront_status ' || arg_max_null(broken.storefront_status, if(said.storefront_status and not is_rejected and system = 'shopify', order_key, null)),
            'crm_status ' || arg_max_null(broken.crm_status, if(said.crm_status and not is_rejected and system = 'tryton_crm', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select consent_number, origin_system from settled where has_broken_fields) using (consent_number)
    group by consent_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as consent_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'channel', ledger_id, null)) as channel_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'status', ledger_id, null)) as status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'since', ledger_id, null)) as since_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'level', ledger_id, null)) as level_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'wording', ledger_id, null)) as wording_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'said_by', ledger_id, null)) as said_by_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'first_opted_in_at', ledger_id, null)) as first_opted_in_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'storefront_status', ledger_id, null)) as storefront_status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'crm_status', ledger_id, null)) as crm_status_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_consents") }}
        where kind in ('decided', 'revoked') and key in (select consent_number from {{ ref("touched_consents") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.consent_number,
    regexp_replace(settled.consent_number, '/[^/]+$', '') as customer_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.channel_told, settled.channel) as varchar) as channel,
    cast(coalesce(decisions.status_told, settled.status) as varchar) as status,
    cast(coalesce(as_instant(decisions.since_told, 'UTC'), settled.since) as timestamptz) as since,
    cast(coalesce(decisions.level_told, settled.level) as varchar) as level,
    cast(coalesce(decisions.wording_told, settled.wording) as varchar) as wording,
    cast(coalesce(decisions.said_by_told, settled.said_by) as varchar) as said_by,
    cast(coalesce(as_instant(decisions.first_opted_in_at_told, 'UTC'), settled.first_opted_in_at) as timestamptz) as first_opted_in_at,
    cast(coalesce(decisions.storefront_status_told, settled.storefront_status) as varchar) as storefront_status,
    cast(coalesce(decisions.crm_status_told, settled.crm_status) as varchar) as crm_status,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, known_as, last_inbox_id, last_received_at
from settled
left join flags using (consent_number)
left join decisions using (consent_number)

-- generated from pipelines/map by `concord write`; do not edit
-- One row per SKU that the ERP sells. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_products"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_products"), ref("links_products"), ref("touched_products"), key="sku") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        sku,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by sku
),

settled as (
    select
        sku, origin_system, origin_remote_id,
        {{ latest("title", owner="system = 'tryton'") }} as title,
        {{ latest("storefront_title", owner="system = 'shopify'") }} as storefront_title,
        {{ latest("list_price", owner="system = 'tryton'") }} as list_price,
        {{ latest("currency", owner="system = 'tryton'") }} as currency,
        {{ latest("is_service", owner="system = 'tryton'") }} as is_service,
        {{ latest("is_salable", owner="system = 'tryton'") }} as is_salable,
        {{ latest("is_active", owner="system = 'tryton'") }} as is_active,
        {{ latest("is_dropshipped", owner="system = 'shopify'") }} as is_dropshipped,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = 'tryton'), order_key, null)) as deleted_at,
        list_distinct([
            {{ winner_of("title", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("storefront_title", owner="system = 'shopify'", by="order_key") }},
            {{ winner_of("list_price", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("currency", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("is_service", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("is_salable", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("is_active", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("is_dropshipped", owner="system = 'shopify'", by="order_key") }},
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = 'tryton'), order_key, null))
        ]) as winners,
        -- What its origin said last and could not be taken: what we hold may be old.
        case when coalesce(
            max(if(is_rejected and system = origin_system, order_key, null))
                > max(if(not is_rejected and system = origin_system, order_key, null)), false
        ) then arg_max(reasons[1], if(is_rejected and system = origin_system, order_key, null)) end as rejected_since,
        bool_or(len(reasons) + len(warnings) > 0 and not is_rejected) as has_broken_fields,
        max(if(not is_rejected and system = origin_system, occurred_at, null)) as changed_at,
        max(if(is_rejected, null, inbox_id)) as last_inbox_id,
        max(if(is_rejected, null, received_at)) as last_received_at
    from messages
    join origins using (sku)
    group by sku, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        sku,
        list_filter([
            'title ' || arg_max_null(broken.title, if(said.title and not is_rejected and system = 'tryton', order_key, null)),
            'storefront_title ' || arg_max_null(broken.storefront_title, if(said.storefront_title and not is_rejected and system = 'shopify', order_key, null)),
            'list_price ' || arg_max_null(broken.list_price, if(said.list_price and not is_rejected and system = 'tryton', order_key, null)),
            'currency ' || arg_max_null(broken.currency, if(said.currency and not is_rejected and system = 'tryton', order_key, null)),
            'is_service ' || arg_max_null(broken.is_service, if(said.is_service and not is_rejected and system = 'tryton', order_key, null)),
            'is_salable ' || arg_max_null(broken.is_salable, if(said.is_salable and not is_rejected and system = 'tryton', order_key, null)),
            'is_active ' || arg_max_null(broken.is_active, if(said.is_active and not is_rejected and system = 'tryton', order_key, null)),
            'is_dropshipped ' || arg_max_null(broken.is_dropshipped, if(said.is_dropshipped and not is_rejected and system = 'shopify', order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select sku, origin_system from settled where has_broken_fields) using (sku)
    group by sku
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as sku,
        arg_max(if(kind = 'decided', value, null), if(field = 'title', ledger_id, null)) as title_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'storefront_title', ledger_id, null)) as storefront_title_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'list_price', ledger_id, null)) as list_price_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'currency', ledger_id, null)) as currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_service', ledger_id, null)) as is_service_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_salable', ledger_id, null)) as is_salable_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_active', ledger_id, null)) as is_active_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_dropshipped', ledger_id, null)) as is_dropshipped_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_products") }}
        where kind in ('decided', 'revoked') and key in (select sku from {{ ref("touched_products") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.sku,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.title_told, settled.title) as varchar) as title,
    cast(coalesce(decisions.storefront_title_told, settled.storefront_title) as varchar) as storefront_title,
    cast(coalesce(as_decimal(decisions.list_price_told), settled.list_price) as decimal(38, 10)) as list_price,
    cast(coalesce(upper(decisions.currency_told), settled.currency) as varchar) as currency,
    cast(coalesce(as_boolean(decisions.is_service_told), settled.is_service) as boolean) as is_service,
    cast(coalesce(as_boolean(decisions.is_salable_told), settled.is_salable) as boolean) as is_salable,
    cast(coalesce(as_boolean(decisions.is_active_told), settled.is_active) as boolean) as is_active,
    cast(coalesce(as_boolean(decisions.is_dropshipped_told), settled.is_dropshipped) as boolean) as is_dropshipped,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (sku)
left join decisions using (sku)

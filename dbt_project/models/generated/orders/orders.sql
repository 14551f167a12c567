-- generated from pipelines/map by `concord write`; do not edit
-- One row per customer order, whichever channel took it. For each field its owner's word wins, whatever order the messages came in.
{{ config(tags=["sync_orders"]) }}

with
messages as (
    select
        * exclude (by_whom, told_as) replace (cast(order_key as hugeint) as order_key),  -- compared twice as fast
        coalesce(by_whom, '') = 'courier' as is_ours
    from {{ told_of(ref("stg_orders"), ref("links_orders"), ref("touched_orders"), key="order_number") }}
),

-- A record begins where it was first told by a system in which it may begin, and in which we did not make it ourselves.
origins as (
    select
        order_number,
        arg_min(system, order_key) as origin_system,
        arg_min(remote_id, order_key) as origin_remote_id
    from messages
    where may_originate and not is_ours and not is_rejected
    group by order_number
),

settled as (
    select
        order_number, origin_system, origin_remote_id,
        {{ latest("number", owner="system = origin_system") }} as number,
        {{ furthest("status", owner="system = origin_system", ladder="['placed', 'paid', 'refunded', 'cancelled']") }} as status,
        {{ latest("currency", owner="system = origin_system") }} as currency,
        {{ latest("shown_currency", owner="system = origin_system") }} as shown_currency,
        {{ latest("placed_at", owner="system = origin_system") }} as placed_at,
        {{ latest("cancelled_at", owner="system = origin_system") }} as cancelled_at,
        {{ latest("total", owner="system = origin_system") }} as total,
        {{ latest("tax_total", owner="system = origin_system") }} as tax_total,
        {{ latest("discount_total", owner="system = origin_system") }} as discount_total,
        {{ latest("shipping_total", owner="system = origin_system") }} as shipping_total,
        {{ latest("shipping_tax_rate", owner="system = origin_system") }} as shipping_tax_rate,
        {{ latest("duties_total", owner="system = origin_system") }} as duties_total,
        {{ latest("tip_total", owner="system = origin_system") }} as tip_total,
        {{ latest("gift_card_total", owner="system = origin_system") }} as gift_card_total,
        {{ latest("prices_include_tax", owner="system = origin_system") }} as prices_include_tax,
        {{ latest("email", owner="system = origin_system") }} as email,
        {{ latest("phone", owner="system = origin_system") }} as phone,
        {{ latest("customer", owner="system = origin_system") }} as customer,
        {{ latest("shop_number", owner="system = origin_system") }} as shop_number,
        {{ latest("name", owner="system = origin_system") }} as name,
        {{ latest("street", owner="system = origin_system") }} as street,
        {{ latest("city", owner="system = origin_system") }} as city,
        {{ latest("postcode", owner="system = origin_system") }} as postcode,
        {{ latest("country", owner="system = origin_system") }} as country,
        {{ latest("country_name", owner="system = origin_system") }} as country_name,
        {{ latest("erp_number", owner="system = 'tryton'") }} as erp_number,
        {{ latest("channel", owner="system = origin_system") }} as channel,
        {{ latest("marketplace_number", owner="system = origin_system") }} as marketplace_number,
        {{ latest("pickup_location", owner="system = origin_system") }} as pickup_location,
        {{ latest("is_on_hold", owner="system = origin_system") }} as is_on_hold,
        {{ latest("note", owner="system = origin_system") }} as note,
        {{ latest("attributes", owner="system = origin_system") }} as attributes,
        arg_max_null(if(is_deletion, occurred_at, null), if(not is_rejected and (system = origin_system), order_key, null)) as deleted_at,
        arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)) as lines_inbox_id,
        list_distinct([
            {{ winner_of("number", owner="system = origin_system", by="order_key") }},
            {{ winner_of("status", owner="system = origin_system", by="(list_position(['placed', 'paid', 'refunded', 'cancelled'], status), order_key)") }},
            {{ winner_of("currency", owner="system = origin_system", by="order_key") }},
            {{ winner_of("shown_currency", owner="system = origin_system", by="order_key") }},
            {{ winner_of("placed_at", owner="system = origin_system", by="order_key") }},
            {{ winner_of("cancelled_at", owner="system = origin_system", by="order_key") }},
            {{ winner_of("total", owner="system = origin_system", by="order_key") }},
            {{ winner_of("tax_total", owner="system = origin_system", by="order_key") }},
            {{ winner_of("discount_total", owner="system = origin_system", by="order_key") }},
            {{ winner_of("shipping_total", owner="system = origin_system", by="order_key") }},
            {{ winner_of("shipping_tax_rate", owner="system = origin_system", by="order_key") }},
            {{ winner_of("duties_total", owner="system = origin_system", by="order_key") }},
            {{ winner_of("tip_total", owner="system = origin_system", by="order_key") }},
            {{ winner_of("gift_card_total", owner="system = origin_system", by="order_key") }},
            {{ winner_of("prices_include_tax", owner="system = origin_system", by="order_key") }},
            {{ winner_of("email", owner="system = origin_system", by="order_key") }},
            {{ winner_of("phone", owner="system = origin_system", by="order_key") }},
            {{ winner_of("customer", owner="system = origin_system", by="order_key") }},
            {{ winner_of("shop_number", owner="system = origin_system", by="order_key") }},
            {{ winner_of("name", owner="system = origin_system", by="order_key") }},
            {{ winner_of("street", owner="system = origin_system", by="order_key") }},
            {{ winner_of("city", owner="system = origin_system", by="order_key") }},
            {{ winner_of("postcode", owner="system = origin_system", by="order_key") }},
            {{ winner_of("country", owner="system = origin_system", by="order_key") }},
            {{ winner_of("country_name", owner="system = origin_system", by="order_key") }},
            {{ winner_of("erp_number", owner="system = 'tryton'", by="order_key") }},
            {{ winner_of("channel", owner="system = origin_system", by="order_key") }},
            {{ winner_of("marketplace_number", owner="system = origin_system", by="order_key") }},
            {{ winner_of("pickup_location", owner="system = origin_system", by="order_key") }},
            {{ winner_of("is_on_hold", owner="system = origin_system", by="order_key") }},
            {{ winner_of("note", owner="system = origin_system", by="order_key") }},
            {{ winner_of("attributes", owner="system = origin_system", by="order_key") }},
            arg_max(inbox_id, if(tells_lines and not is_rejected and system = origin_system, order_key, null)),
            arg_max(inbox_id, if(is_deletion and not is_rejected and (system = origin_system), order_key, null))
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
    join origins using (order_number)
    group by order_number, origin_system, origin_remote_id
),

-- A field is flagged when its owner's newest word on it was not taken; the last good value stays. What is merely doubtful
-- about the newest word of the record's origin is a warning.
flags as (
    select
        order_number,
        list_filter([
            'number ' || arg_max_null(broken.number, if(said.number and not is_rejected and system = origin_system, order_key, null)),
            'status ' || arg_max_null(broken.status, if(said.status and not is_rejected and system = origin_system, order_key, null)),
            'currency ' || arg_max_null(broken.currency, if(said.currency and not is_rejected and system = origin_system, order_key, null)),
            'shown_currency ' || arg_max_null(broken.shown_currency, if(said.shown_currency and not is_rejected and system = origin_system, order_key, null)),
            'placed_at ' || arg_max_null(broken.placed_at, if(said.placed_at and not is_rejected and system = origin_system, order_key, null)),
            'cancelled_at ' || arg_max_null(broken.cancelled_at, if(said.cancelled_at and not is_rejected and system = origin_system, order_key, null)),
            'total ' || arg_max_null(broken.total, if(said.total and not is_rejected and system = origin_system, order_key, null)),
            'tax_total ' || arg_max_null(broken.tax_total, if(said.tax_total and not is_rejected and system = origin_system, order_key, null)),
            'discount_total ' || arg_max_null(broken.discount_total, if(said.discount_total and not is_rejected and system = origin_system, order_key, null)),
            'shipping_total ' || arg_max_null(broken.shipping_total, if(said.shipping_total and not is_rejected and system = origin_system, order_key, null)),
            'shipping_tax_rate ' || arg_max_null(broken.shipping_tax_rate, if(said.shipping_tax_rate and not is_rejected and system = origin_system, order_key, null)),
            'duties_total ' || arg_max_null(broken.duties_total, if(said.duties_total and not is_rejected and system = origin_system, order_key, null)),
            'tip_total ' || arg_max_null(broken.tip_total, if(said.tip_total and not is_rejected and system = origin_system, order_key, null)),
            'gift_card_total ' || arg_max_null(broken.gift_card_total, if(said.gift_card_total and not is_rejected and system = origin_system, order_key, null)),
            'prices_include_tax ' || arg_max_null(broken.prices_include_tax, if(said.prices_include_tax and not is_rejected and system = origin_system, order_key, null)),
            'email ' || arg_max_null(broken.email, if(said.email and not is_rejected and system = origin_system, order_key, null)),
            'phone ' || arg_max_null(broken.phone, if(said.phone and not is_rejected and system = origin_system, order_key, null)),
            'customer ' || arg_max_null(broken.customer, if(said.customer and not is_rejected and system = origin_system, order_key, null)),
            'shop_number ' || arg_max_null(broken.shop_number, if(said.shop_number and not is_rejected and system = origin_system, order_key, null)),
            'name ' || arg_max_null(broken.name, if(said.name and not is_rejected and system = origin_system, order_key, null)),
            'street ' || arg_max_null(broken.street, if(said.street and not is_rejected and system = origin_system, order_key, null)),
            'city ' || arg_max_null(broken.city, if(said.city and not is_rejected and system = origin_system, order_key, null)),
            'country ' || arg_max_null(broken.country, if(said.country and not is_rejected and system = origin_system, order_key, null)),
            'country_name ' || arg_max_null(broken.country_name, if(said.country_name and not is_rejected and system = origin_system, order_key, null)),
            'erp_number ' || arg_max_null(broken.erp_number, if(said.erp_number and not is_rejected and system = 'tryton', order_key, null)),
            'channel ' || arg_max_null(broken.channel, if(said.channel and not is_rejected and system = origin_system, order_key, null)),
            'marketplace_number ' || arg_max_null(broken.marketplace_number, if(said.marketplace_number and not is_rejected and system = origin_system, order_key, null)),
            'pickup_location ' || arg_max_null(broken.pickup_location, if(said.pickup_location and not is_rejected and system = origin_system, order_key, null)),
            'is_on_hold ' || arg_max_null(broken.is_on_hold, if(said.is_on_hold and not is_rejected and system = origin_system, order_key, null)),
            'note ' || arg_max_null(broken.note, if(said.note and not is_rejected and system = origin_system, order_key, null)),
            'attributes ' || arg_max_null(broken.attributes, if(said.attributes and not is_rejected and system = origin_system, order_key, null))
        ], lambda flag: flag is not null) as flags,
        arg_max(warnings, if(not is_rejected and not is_deletion and system = origin_system, order_key, null)) as warnings
    from messages
    join (select order_number, origin_system from settled where has_broken_fields) using (order_number)
    group by order_number
)
,

-- What a person decided about a field wins until it is revoked.
decisions as (
    select key as order_number,
        arg_max(if(kind = 'decided', value, null), if(field = 'number', ledger_id, null)) as number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'status', ledger_id, null)) as status_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'currency', ledger_id, null)) as currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'shown_currency', ledger_id, null)) as shown_currency_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'placed_at', ledger_id, null)) as placed_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'cancelled_at', ledger_id, null)) as cancelled_at_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'total', ledger_id, null)) as total_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'tax_total', ledger_id, null)) as tax_total_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'discount_total', ledger_id, null)) as discount_total_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'shipping_total', ledger_id, null)) as shipping_total_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'shipping_tax_rate', ledger_id, null)) as shipping_tax_rate_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'duties_total', ledger_id, null)) as duties_total_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'tip_total', ledger_id, null)) as tip_total_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'gift_card_total', ledger_id, null)) as gift_card_total_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'prices_include_tax', ledger_id, null)) as prices_include_tax_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'email', ledger_id, null)) as email_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'phone', ledger_id, null)) as phone_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'customer', ledger_id, null)) as customer_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'shop_number', ledger_id, null)) as shop_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'name', ledger_id, null)) as name_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'street', ledger_id, null)) as street_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'city', ledger_id, null)) as city_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'postcode', ledger_id, null)) as postcode_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'country', ledger_id, null)) as country_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'country_name', ledger_id, null)) as country_name_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'erp_number', ledger_id, null)) as erp_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'channel', ledger_id, null)) as channel_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'marketplace_number', ledger_id, null)) as marketplace_number_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'pickup_location', ledger_id, null)) as pickup_location_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'is_on_hold', ledger_id, null)) as is_on_hold_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'note', ledger_id, null)) as note_told
,
        arg_max(if(kind = 'decided', value, null), if(field = 'attributes', ledger_id, null)) as attributes_told
    from (
        select *, row_number() over (partition by key, field order by ledger_id desc) as age
        from {{ ref("ledger_orders") }}
        where kind in ('decided', 'revoked') and key in (select order_number from {{ ref("touched_orders") }})
    )
    where age = 1 and kind = 'decided'
    group by key
)

select
    settled.order_number,
    origin_system, origin_remote_id,
    cast(coalesce(decisions.number_told, settled.number) as varchar) as number,
    cast(coalesce(decisions.status_told, settled.status) as varchar) as status,
    cast(coalesce(upper(decisions.currency_told), settled.currency) as varchar) as currency,
    cast(coalesce(upper(decisions.shown_currency_told), settled.shown_currency) as varchar) as shown_currency,
    cast(coalesce(as_instant(decisions.placed_at_told, 'UTC'), settled.placed_at) as timestamptz) as placed_at,
    cast(coalesce(as_instant(decisions.cancelled_at_told, 'UTC'), settled.cancelled_at) as timestamptz) as cancelled_at,
    cast(coalesce(as_decimal(decisions.total_told), settled.total) as decimal(38, 10)) as total,
    cast(coalesce(as_decimal(decisions.tax_total_told), settled.tax_total) as decimal(38, 10)) as tax_total,
    cast(coalesce(as_decimal(decisions.discount_total_told), settled.discount_total) as decimal(38, 10)) as discount_total,
    cast(coalesce(as_decimal(decisions.shipping_total_told), settled.shipping_total) as decimal(38, 10)) as shipping_total,
    cast(coalesce(as_decimal(decisions.shipping_tax_rate_told), settled.shipping_tax_rate) as decimal(38, 10)) as shipping_tax_rate,
    cast(coalesce(as_decimal(decisions.duties_total_told), settled.duties_total) as decimal(38, 10)) as duties_total,
    cast(coalesce(as_decimal(decisions.tip_total_told), settled.tip_total) as decimal(38, 10)) as tip_total,
    cast(coalesce(as_decimal(decisions.gift_card_total_told), settled.gift_card_total) as decimal(38, 10)) as gift_card_total,
    cast(coalesce(as_boolean(decisions.prices_include_tax_told), settled.prices_include_tax) as boolean) as prices_include_tax,
    cast(coalesce(lower(decisions.email_told), settled.email) as varchar) as email,
    cast(coalesce(decisions.phone_told, settled.phone) as varchar) as phone,
    cast(coalesce(decisions.customer_told, settled.customer) as varchar) as customer,
    cast(coalesce(decisions.shop_number_told, settled.shop_number) as varchar) as shop_number,
    cast(coalesce(decisions.name_told, settled.name) as varchar) as name,
    cast(coalesce(decisions.street_told, settled.street) as varchar) as street,
    cast(coalesce(decisions.city_told, settled.city) as varchar) as city,
    cast(coalesce(upper(decisions.postcode_told), settled.postcode) as varchar) as postcode,
    cast(coalesce(upper(decisions.country_told), settled.country) as varchar) as country,
    cast(coalesce(decisions.country_name_told, settled.country_name) as varchar) as country_name,
    cast(coalesce(decisions.erp_number_told, settled.erp_number) as varchar) as erp_number,
    cast(coalesce(decisions.channel_told, settled.channel) as varchar) as channel,
    cast(coalesce(decisions.marketplace_number_told, settled.marketplace_number) as varchar) as marketplace_number,
    cast(coalesce(decisions.pickup_location_told, settled.pickup_location) as varchar) as pickup_location,
    cast(coalesce(as_boolean(decisions.is_on_hold_told), settled.is_on_hold) as boolean) as is_on_hold,
    cast(coalesce(decisions.note_told, settled.note) as varchar) as note,
    cast(coalesce(decisions.attributes_told, settled.attributes) as varchar) as attributes,
    lines_inbox_id,
    deleted_at,
    rejected_since, coalesce(flags.flags, []) as flags, coalesce(flags.warnings, []) as warnings, winners, changed_at, last_inbox_id, last_received_at
from settled
left join flags using (order_number)
left join decisions using (order_number)

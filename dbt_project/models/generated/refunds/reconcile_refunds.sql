-- generated from pipelines/map by `concord write`; do not edit
-- Where two systems disagree about refunds, field by field, with who answers and what to do.
{{ config(
    materialized="in_turns",
    meta={"key": "refund_number", "sampled": "stg_refunds", "counted": "snapshots_refunds", "at_once": 1000000},
    tags=["reconcile_refunds"],
) }}

with held as (
    select stg.* exclude (refund_number), coalesce(links.key, stg.refund_number) as refund_number
    from {{ ref("snapshots_refunds") }} as snapshots
    join {{ ref("stg_refunds") }} as stg using (inbox_id)
    left join {{ ref("links_refunds") }} as links on links.system = stg.system and links.remote_id = stg.remote_id
    where in_turn(coalesce(links.key, stg.refund_number))
),

-- What a person said to leave alone until a day.
ignored as (
    select key, flow as reconciliation, field, arg_max(cast(value as timestamptz), ledger_id) as ignored_until
    from {{ ref("ledger_refunds") }}
    where kind = 'ignored' and in_turn(key)
    group by key, flow, field
),

looks as (
    select system, min(finished_at) as looked_at
    from {{ ref("snapshots_refunds") }}
    group by system
),

deliveries as (
    select key, system, max(happened_at) as delivered_at
    from {{ ref("ledger_refunds") }}
    where kind = 'delivered' and in_turn(key)
    group by key, system
),

holds as (
    select refund_number, flow, max(held_because) as held_because, bool_or(is_wanted) as is_wanted
    from {{ ref("wanted_refunds") }}
    where in_turn(refund_number)
    group by refund_number, flow
),

shop_and_payments_shopify as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.amount,
        stg.currency,
    from (
        select
            refund_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('shopify') and refund_number is not null and not coalesce(status in ('released', 'failed') or amount = 0, false)
        group by refund_number
    ) as newest
    join {{ ref("stg_refunds") }} as stg using (inbox_id)
),
shop_and_payments_payments as (
    -- What its newest message says: fields that went along through the grouping would take three times the memory.
    select
        newest.*,
        stg.amount,
        stg.currency,
    from (
        select
            refund_number, max(received_at) as told_at, count(distinct remote_id) as copies,
            arg_max(inbox_id, order_key) as inbox_id
        from held
        where system in ('stripe') and refund_number is not null and not coalesce(status in ('released', 'failed') or amount = 0, false)
        group by refund_number
    ) as newest
    join {{ ref("stg_refunds") }} as stg using (inbox_id)
),

shop_and_payments_looked as (
    select (select if(count(*) = 1, min(looked_at), null) from looks where system in ('shopify')) as at_one, (select if(count(*) = 1, min(looked_at), null) from looks where system in ('stripe')) as at_other
),

shop_and_payments as (
    select
        'shop_and_payments' as reconciliation, coalesce(one.refund_number, other.refund_number) as refund_number,
        'shopify' as one_side, 'payments' as other_side,
        unnest(case
            when other.refund_number is null then [struct_pack(kind := 'missing there', field := null, one_value := null, other_value := null)]
            when one.refund_number is null then [struct_pack(kind := 'missing here', field := null, one_value := null, other_value := null)]
            else list_filter([
                if(one.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := cast(one.copies as varchar), other_value := null), null),
                if(other.copies > 1, struct_pack(kind := 'duplicate', field := null, one_value := null, other_value := cast(other.copies as varchar)), null),
                if(one.amount is distinct from other.amount and not coalesce(abs(one.amount - other.amount) <= 0.01, false),
                    struct_pack(kind := 'differs', field := 'amount', one_value := as_travelling(one.amount), other_value := as_travelling(other.amount)), null),
                if(one.currency is distinct from other.currency,
                    struct_pack(kind := 'differs', field := 'currency', one_value := one.currency, other_value := other.currency), null),
            ], lambda difference: difference is not null)
        end) as difference,
        greatest(one.told_at, other.told_at, delivered.at) as since,
        least(looked.at_one, looked.at_other) as looked_at,
        records.refund_number is not null and (records.deleted_at is not null or coalesce(records.status in ('released', 'failed') or records.amount = 0, false)) as is_gone
    from shop_and_payments_shopify as one
    full join shop_and_payments_payments as other using (refund_number)
    join shop_and_payments_looked as looked on looked.at_one is not null and looked.at_other is not null
    left join (
        select key, max(delivered_at) as at from deliveries where system in ('shopify', 'stripe') group by key
    ) as delivered on delivered.key = coalesce(one.refund_number, other.refund_number)
    left join {{ ref("refunds") }} as records on records.refund_number = coalesce(one.refund_number, other.refund_number) and in_turn(records.refund_number)
    where case when one.refund_number is null then true else true end
)

select
    found.reconciliation, refund_number, one_side, other_side,
    case
        when difference.kind <> 'duplicate' and since > looked_at - to_seconds(within) then 'late'
        when ignored_until > {{ moment() }} then 'ignored'
        else difference.kind
    end as kind,
    difference.kind as would_be,
    difference.field as field, difference.one_value as one_value, difference.other_value as other_value,
    since, looked_at, greatest(looked_at - since, interval 0 seconds) as age, steward, repair, ignored_until
from (
    select
        shop_and_payments.*, 900 as within, 'team:finance' as steward,
        case difference.kind
            when 'missing there' then coalesce('held: ' || holds.held_because, if(coalesce(holds.is_wanted, false), 'concord repair refunds_to_payments ' || shop_and_payments.refund_number, 'concord decide refunds ' || shop_and_payments.refund_number || ' status owed --why ''<what the shop says>'': then it is made there, once'))
            when 'missing here' then if(is_gone, coalesce('held: ' || holds.held_because, 'concord repair refunds_to_payments ' || shop_and_payments.refund_number), coalesce('held: ' || here.held_because, if(coalesce(here.is_wanted, false), 'concord repair refunds_to_storefront ' || shop_and_payments.refund_number, 'record ' || shop_and_payments.refund_number || ' in the shop as paid by hand, with a note that begins with ' || shop_and_payments.refund_number || ': then the two are one')))
            when 'duplicate' then 'delete one of the copies there; `concord trace ' || shop_and_payments.refund_number || '` names them'
            else coalesce('held: ' || holds.held_because, if(coalesce(holds.is_wanted, false), 'concord repair refunds_to_payments ' || shop_and_payments.refund_number, 'find out which of the two amounts the customer has; refund the rest in the shop'))
        end as repair
    from shop_and_payments
    left join holds on holds.refund_number = shop_and_payments.refund_number and holds.flow = 'refunds_to_payments'
    left join holds as here on here.refund_number = shop_and_payments.refund_number and here.flow = 'refunds_to_storefront'
    
) as found
left join ignored
    on ignored.key = found.refund_number and ignored.reconciliation = found.reconciliation
    and ignored.field is not distinct from found.difference.field

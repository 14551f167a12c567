-- generated from pipelines/map by `concord write`; do not edit
-- What each destination should now hold of refunds: one row per flow, destination and record.
{{ config(tags=["sync_refunds"]) }}

with records as (
    select * from {{ ref("refunds") }} where refund_number in (select refund_number from {{ ref("touched_refunds") }})
),

refund_lines as (
    select
        refund_number,
        '[' || string_agg(line, ',' order by position, line_id) || ']' as lines,
        null as waits_for
    from (
        -- One text a line: lists of structs would take ten times the memory.
        select *, cast(to_json(struct_pack(
            line_id := line_id,
            order_line := order_line,
            sku := sku,
            quantity := cast(quantity as varchar),
            restock := restock,
            subtotal := as_travelling(subtotal),
            tax := as_travelling(tax)
        )) as varchar) as line
        from {{ ref("refund_lines") }}
        where removed_at is null and refund_number in (select refund_number from records)
    )
    group by refund_number
),

-- The newest thing that a person asked of each flow, of it alone or of all.
asked as (
    select key as refund_number, of_flow, arg_max(kind, ledger_id) as kind
    from {{ ref("ledger_refunds") }}
    cross join (select unnest(['refunds_to_payments', 'refunds_to_storefront', 'refunds_to_erp']) as of_flow)
    where kind in ('repair', 'decided', 'revoked') and {{ in_batch("ledger_id") }} and coalesce(flow, of_flow) = of_flow
    group by key, of_flow
),

links as (
    select key as refund_number, system, max(remote_id) as remote_id
    from {{ ref("links_refunds") }}
    where key in (select refund_number from records)
    group by key, system
),

-- No more goes back than was captured, in however many parts and whoever gives them back.
beyond_captured as (
    select
        refund_number,
        'captured: payments.captured of ' || payment_number || if(most is null, ' is not known yet', ' is ' || as_travelling(most) || ', and '
            || coalesce('with the ' || as_travelling(before) || ' of ' || array_to_string(list_slice(others, 1, 3), ', ') || if(len(others) > 3, ' and others', '') || ' ', '')
            || 'it comes to ' || as_travelling(coalesce(before, 0) + amount)) || '; team:finance says which of them goes' as held_because
    from (
        select
            refund_number, payment_number, amount, currency, 
            sum(amount) over earlier as before, list(refund_number) over earlier as others
        from {{ ref("refunds") }}
        where payment_number in (select payment_number from records) and deleted_at is null and (status in ('owed', 'pending', 'paid'))
        window earlier as (
            partition by payment_number, currency order by not coalesce(status in ('pending', 'paid'), false), first_inbox_id, refund_number
            rows between unbounded preceding and 1 preceding
        )
    ) as adding
    left join (
        select payment_number as key_of_payments, captured as most, currency from {{ ref("payments") }}
    ) as of_payments on key_of_payments = adding.payment_number
    where most is null or (coalesce(before, 0) + amount > most + 0.005 and of_payments.currency = adding.currency)
),

refunds_to_payments as (
    select
        'refunds_to_payments' as flow,
        'stripe' as system,
        records.refund_number,
        coalesce(origin_system <> 'stripe' and status = 'owed', false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            refund_number := records.refund_number,
            order_number := records.order_number,
            payment_number := records.payment_number,
            amount := as_travelling(records.amount),
            currency := records.currency,
            reason := records.reason
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('order_number', 'payment_number', 'amount', 'currency', 'reason', 'not_above_the_order'))[1],
            if(not records.is_order_number_known, 'waits for ' || records.order_number || ', which no one has told us of', null),
            beyond_captured.held_because,
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join asked on asked.refund_number = records.refund_number and asked.of_flow = 'refunds_to_payments'
    left join links on links.refund_number = records.refund_number and links.system = 'stripe'
    left join beyond_captured on beyond_captured.refund_number = records.refund_number
),
refunds_to_storefront as (
    select
        'refunds_to_storefront' as flow,
        'shopify' as system,
        records.refund_number,
        coalesce(origin_system = 'stripe' and status = 'paid' and amount > 0 and recorded_at is null, false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            refund_number := records.refund_number,
            order_number := records.order_number,
            amount := as_travelling(records.amount),
            currency := records.currency,
            reason := records.reason
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('order_number', 'amount', 'currency', 'reason', 'not_above_the_order'))[1],
            if(not records.is_order_number_known, 'waits for ' || records.order_number || ', which no one has told us of', null),
            beyond_captured.held_because,
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join asked on asked.refund_number = records.refund_number and asked.of_flow = 'refunds_to_storefront'
    left join links on links.refund_number = records.refund_number and links.system = 'shopify'
    left join beyond_captured on beyond_captured.refund_number = records.refund_number
),
refunds_to_erp as (
    select
        'refunds_to_erp' as flow,
        'tryton' as system,
        records.refund_number,
        coalesce(recorded_at is not null and status = 'paid' and (amount > 0 or is_exchange) and not is_cancellation, false) and records.deleted_at is null as is_wanted,
        'ignore' as action_on_leave,
        to_json(struct_pack(
            refund_number := records.refund_number,
            lines := cast(coalesce(refund_lines.lines, '[]') as json),
            order_number := records.order_number,
            amount := as_travelling(records.amount),
            currency := records.currency,
            reason := records.reason,
            is_exchange := cast(records.is_exchange as varchar),
            refunded_at := strftime(records.refunded_at, '%Y-%m-%dT%H:%M:%S.%fZ')
        )) as payload,
        links.remote_id,
        coalesce(
            'the newest message could not be taken: ' || records.rejected_since,
            list_filter(records.flags, lambda flag: split_part(flag, ' ', 1) in ('order_number', 'amount', 'currency', 'reason', 'is_exchange', 'refunded_at', 'not_above_the_order'))[1],
            if(not records.is_order_number_known, 'waits for ' || records.order_number || ', which no one has told us of', null),
            null
        ) as held_because,
        case
            when asked.kind = 'repair' then 'repair'
            when asked.kind in ('decided', 'revoked') then 'decision'
        end as asked,
        'live' as mode,
        'latest' as deliver,
        records.last_inbox_id as caused_by_inbox_id, records.last_received_at as received_at
    from records
    left join refund_lines using (refund_number)
    left join asked on asked.refund_number = records.refund_number and asked.of_flow = 'refunds_to_erp'
    left join links on links.refund_number = records.refund_number and links.system = 'tryton'
)

select * from refunds_to_payments
union all
select * from refunds_to_storefront
union all
select * from refunds_to_erp

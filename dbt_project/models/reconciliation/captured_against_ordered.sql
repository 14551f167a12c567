-- One row per order whose money, beside what gift cards paid, does not fit it: too much, too little, twice, in another currency, or for nothing.
{{ config(materialized="view", tags=["reconcile_payments"]) }}

-- Channels whose customers pay by the payment service: of the others it knows nothing, and need not.
with paying_channels as (
    select distinct orders.origin_system
    from {{ ref("orders") }} as orders
    join {{ ref("money_of_orders") }} using (order_number)
),

-- What is paid with goods that came back needs no money.
orders as (
    select orders.* replace (total - coalesce(set_off, 0) as total)
    from {{ ref("orders") }} as orders
    left join {{ ref("exchanges_of_orders") }} using (order_number)
),

compared as (
    select
        orders.order_number, orders.total - coalesce(orders.gift_card_total, 0) as total, orders.currency as ordered_in, money.*,
        case
            when money.order_number is null then if(orders.status = 'paid' and orders.total > coalesce(orders.gift_card_total, 0), 'nothing captured', null)
            when money.currencies > 1 or money.currency <> orders.currency then 'another currency'
            when orders.status = 'cancelled' or orders.deleted_at is not null then if(money.kept > 0.01, 'captured for nothing', null)
            when money.kept > orders.total - coalesce(orders.gift_card_total, 0) + 0.01 and money.payments > 1 then 'captured twice'
            when money.kept > orders.total - coalesce(orders.gift_card_total, 0) + 0.01 then 'captured too much'
            when money.captured < orders.total - coalesce(orders.gift_card_total, 0) - 0.01 then 'captured too little'
            when money.is_dispute_lost and money.kept > 0.01 then 'dispute lost'
        end as kind,
        greatest(money.told_at, orders.last_received_at) as since
    from orders
    left join {{ ref("money_of_orders") }} as money using (order_number)
    where orders.origin_system in (select origin_system from paying_channels)
)

select
    order_number as key,
    kind,
    as_travelling(coalesce(kept, 0)) || ' ' || coalesce(currency, ordered_in) as one_value,
    as_travelling(total) || ' ' || ordered_in as other_value,
    since,
    case kind
        when 'nothing captured' then 'see how the shop was paid: capture the payment there, or note that it was paid another way'
        when 'another currency' then 'compare by hand: the customer paid in another currency than the shop books'
        when 'captured for nothing' then 'give the money back in the shop; its payment is ' || payment_numbers
        when 'captured twice' then 'give one payment back at the payment service: ' || payment_numbers
        when 'captured too much' then 'give the difference back in the shop; its payment is ' || payment_numbers
        when 'captured too little' then 'ask the customer for the rest, or lower the order in the shop'
        when 'dispute lost' then 'book the loss, and take the order back in the shop; its payment is ' || payment_numbers
    end as next_step
from compared
where kind is not null

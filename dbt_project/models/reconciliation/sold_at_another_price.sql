-- One row per order of which a line was sold at another price than the one that was valid then for its buyer.
{{ config(materialized="view", tags=["reconcile_prices"]) }}

with sold as (
    select
        orders.order_number, orders.origin_system, orders.customer, orders.currency, orders.shown_currency, orders.placed_at,
        orders.last_received_at, coalesce(orders.prices_include_tax, false) as includes_tax,
        lines.line_id, lines.sku, lines.quantity, lines.unit_price, lines.shown_price,
        -- of a taxed order a line without a rate is not untaxed: nobody knows what it is
        coalesce(lines.tax_rate, if(coalesce(orders.tax_total, 0) = 0, 0, null)) as tax_rate
    from {{ ref("orders") }} as orders
    join {{ ref("order_lines") }} as lines using (order_number)
    where orders.status <> 'cancelled' and orders.deleted_at is null
        and lines.removed_at is null and lines.quantity > 0 and not coalesce(lines.is_credit, false)
),

agreed as (
    select * from {{ ref("prices") }} where deleted_at is null and amount is not null
),

-- The first list of its buyer that has a price for it, in a currency that the buyer saw; one that stands alone is the last asked.
found as (
    select
        sold.*, buyers.rule, buyers.is_alone, buyers.price_list,
        agreed.price_number, agreed.amount, agreed.currency as agreed_currency, agreed.includes_tax as agreed_includes_tax
    from sold
    join {{ ref("prices_buyers") }} as buyers using (order_number)
    left join agreed
        on agreed.price_list = buyers.price_list and agreed.sku = sold.sku and agreed.from_quantity <= sold.quantity
        and coalesce(agreed.valid_from <= sold.placed_at, true) and coalesce(agreed.valid_to > sold.placed_at, true)
        and (buyers.is_alone or agreed.currency in (sold.currency, coalesce(sold.shown_currency, sold.currency)))
    where agreed.price_number is not null or buyers.is_alone
    -- the price of the largest quantity that was reached
    qualify row_number() over (
        partition by sold.order_number, sold.line_id
        order by buyers.place, agreed.from_quantity desc nulls last, agreed.price_number
    ) = 1
),

-- Each price is held against what was paid in its own currency, and net and gross are told apart by the line's own tax.
judged as (
    select
        *, if(agreed_currency = currency, unit_price, if(agreed_currency = shown_currency, shown_price, null)) as paid,
        minor_units(agreed_currency) as units, agreed_includes_tax <> includes_tax as is_taxed_otherwise,
        cast(to_units(cast(amount as double) * case
            when includes_tax and not agreed_includes_tax then 1 + tax_rate
            when agreed_includes_tax and not includes_tax then 1 / (1 + tax_rate)
            else 1
        end, minor_units(agreed_currency)) as decimal(38, 10)) as due
    from found
),

differing as (
    select
        *,
        case
            when price_number is null then 'no price was valid'
            when agreed_currency <> currency and agreed_currency is distinct from shown_currency then 'in another currency'
            when is_taxed_otherwise and tax_rate is null then 'its tax is not told'
            when paid < due - power(10, -units) * 1.000001 then 'sold below its price'
            when paid > due + power(10, -units) * 1.000001 then 'sold above its price'
        end as kind
    from judged
)

select
    order_number as key,
    min(kind) as kind,
    string_agg(sku || ' at ' || as_travelling(coalesce(paid, unit_price)) || ' ' || if(paid is null, currency, agreed_currency), ', ' order by line_id) as one_value,
    string_agg(sku || ' at ' || coalesce(as_travelling(coalesce(due, amount)) || ' ' || agreed_currency || ' (' || price_list || ')', 'no price'), ', ' order by line_id) as other_value,
    max(last_received_at) as since,
    case min(kind)
        when 'no price was valid' then 'agree on a price in ' || any_value(price_list) || ', or sell it by the list of all'
        when 'in another currency' then 'find out who changed the currency; ' || any_value(price_list) || ' counts in ' || any_value(agreed_currency)
        when 'its tax is not told' then 'ask whoever sold it for the rate of tax; net and gross cannot be compared without'
        when 'sold below its price' then 'ask who gave it away, and correct the price where it was sold'
        else 'give the difference back, and correct the price where it was sold'
    end as next_step
from differing
where kind is not null
group by order_number

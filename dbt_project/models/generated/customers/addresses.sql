-- generated from pipelines/map by `concord write`; do not edit
-- One row per customer and kind of address, the one that holds unless somebody says otherwise. The newest message of each who owns whether they are decides which exist; one that went has `removed_at`.
{{ config(tags=["sync_customers"]) }}

with parents as (
    select customer_number, origin_system, lines_inbox_id, changed_at, tax_number
    from {{ ref("customers") }}
    where customer_number in (select customer_number from {{ ref("touched_customers") }})
),

-- What each who may say so told last of which exist.
told_last as (
    select customer_number, system, part, arg_max(inbox_id, order_key) as inbox_id
    from (
        select *, unnest(case when system = 'shopify' and stream = 'customers' then ['shipping'] when system = 'shopify' and stream = 'customers_read' then ['shipping'] else ['shipping', 'any other'] end) as part
        from {{ told_of(ref("stg_customers"), ref("links_customers"), ref("touched_customers"), key="customer_number") }}
        join parents using (customer_number)
        where tells_lines and not is_rejected and (system = 'shopify' or system = 'tryton')
    )
    group by customer_number, system, part
),

messages as (
    select
        lines.* replace (told.customer_number as customer_number), parents.origin_system,
        cast(told.order_key as hugeint) as order_key, told.is_rejected, told.occurred_at, parents.changed_at as parent_changed_at,
        (lines.inbox_id, if(kind in ('shipping'), kind, 'any other')) in (select (inbox_id, part) from told_last) as is_current,
        struct_pack(tax_number := parents.tax_number) as customers
    from {{ told_of(ref("stg_customers"), ref("links_customers"), ref("touched_customers"), key="customer_number") }} as told
    join parents using (customer_number)
    join {{ ref("stg_addresses") }} as lines using (inbox_id)
    where not told.is_rejected
),

-- Since when each words a row as it does, and when it worded it so before.
wordings as (
    select *, lag(order_key) over (partition by customer_number, kind, system, wording order by order_key) as worded_so_at
    from (
        select
            customer_number, kind, system, order_key, concat_ws(chr(10), plainly(name), plainly(street), plainly(city), plainly(postcode), plainly(country)) as wording
        from messages
        where (system = 'shopify' or system = 'tryton') and not is_echo
        qualify wording is distinct from lag(wording) over (partition by customer_number, kind, system order by order_key)
    )
),

-- Who says what another said before, and has not said it since then, repeats the other; those who tell by themselves when they
-- repeat are believed.
repeated as (
    select mine.customer_number, mine.kind, mine.system, mine.order_key as since
    from wordings as mine
    join wordings as others on others.customer_number = mine.customer_number and others.wording = mine.wording and others.order_key < mine.order_key
    where others.system in ('tryton', 'tryton_crm') and mine.system not in ('tryton', 'tryton_crm')
    group by mine.customer_number, mine.kind, mine.system, mine.order_key, mine.worded_so_at
    having coalesce(mine.worded_so_at < max(others.order_key), true)
),

words_of_their_own as (
    select messages.*
    from messages
    asof left join wordings
        on wordings.customer_number = messages.customer_number and wordings.kind = messages.kind and wordings.system = messages.system and messages.order_key >= wordings.order_key
    anti join repeated
        on repeated.customer_number = messages.customer_number and repeated.kind = messages.kind and repeated.system = messages.system and repeated.since = wordings.order_key
    where not is_echo
),

-- A row is told by one of them as a whole: by the first who tells of it now.
tellers as (
    select
        customer_number, kind,
        arg_min(system, (not is_current, case when system = 'tryton' and coalesce(kind = 'billing' and customers.tax_number is not null, false) then 0 when system = 'shopify' then 1 when system = 'tryton' then 2 end)) as teller
    from words_of_their_own
    where (system = 'shopify' or system = 'tryton')
    group by customer_number, kind
),

settled as (
    select
        customer_number, kind,
        {{ latest("name", owner="system = teller and ((system = 'shopify') or (system = 'tryton'))") }} as name,
        {{ latest("company", owner="system = teller and system = 'shopify'") }} as company,
        {{ latest("street", owner="system = teller and ((system = 'shopify') or (system = 'tryton'))") }} as street,
        {{ latest("city", owner="system = teller and ((system = 'shopify') or (system = 'tryton'))") }} as city,
        {{ latest("area", owner="system = teller and ((system = 'shopify') or (system = 'tryton'))") }} as area,
        {{ latest("postcode", owner="system = teller and ((system = 'shopify') or (system = 'tryton'))") }} as postcode,
        {{ latest("country", owner="system = teller and ((system = 'shopify') or (system = 'tryton'))") }} as country,
        {{ latest("phone", owner="system = teller and system = 'shopify'") }} as phone,
        coalesce(min(position) filter (where is_current), max(position)) as position,
        if(bool_or(is_current), null, any_value(parent_changed_at)) as removed_at, teller as told_by
    from words_of_their_own
    join tellers using (customer_number, kind)
    group by customer_number, kind, teller
)

select
    customer_number,
    kind,
    cast(name as varchar) as name,
    cast(company as varchar) as company,
    cast(street as varchar) as street,
    cast(city as varchar) as city,
    cast(area as varchar) as area,
    cast(postcode as varchar) as postcode,
    cast(country as varchar) as country,
    cast(phone as varchar) as phone,
    position, removed_at, told_by
from settled

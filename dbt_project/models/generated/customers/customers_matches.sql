-- generated from pipelines/map by `concord write`; do not edit
-- Records of different systems that may be one: what the map calls a match. What is sure is linked after this build,
-- what is not waits for a person; until then the younger of the two goes nowhere.
{{ config(tags=["sync_customers"]) }}

with records as (
    select
        customer_number, first_inbox_id, last_received_at, known_as, list_distinct(list_transform(known_as, lambda one: one.system)) as systems,
        coalesce(shop_number, carried_number) as number,
        email as email,
        e164(phone, country) as phone
    from {{ ref("customers") }}
    where deleted_at is null
),

touched as (select customer_number from {{ ref("touched_customers") }}),

-- What people said of a record or a part of it: it stands for itself, or it is that one.
said as (
    select customer_number, bool_or(links.key is null) as stands_alone
    from (select customer_number, unnest(known_as, recursive := true) from records)
    join {{ ref("links_customers") }} as links using (system, remote_id)
    where links.by_whom not in ('courier', 'match')
    group by customer_number
),

-- What more than twenty records share is nobody's own.
alike as (
    select one.customer_number as one, other.customer_number as other, 1 as strength
    from records as one
    semi join touched using (customer_number)
    join records as other on other.number = one.number and other.customer_number <> one.customer_number
    anti join {{ crowded("customers", "number") }} as crowd on crowd.value = cast(one.number as varchar)
    qualify count(*) over (partition by one.customer_number) < 20
    union all
    select one.customer_number as one, other.customer_number as other, 2 as strength
    from records as one
    semi join touched using (customer_number)
    join records as other on other.email = one.email and other.customer_number <> one.customer_number
    anti join {{ crowded("customers", "email") }} as crowd on crowd.value = cast(one.email as varchar)
    qualify count(*) over (partition by one.customer_number) < 20
    union all
    select one.customer_number as one, other.customer_number as other, 3 as strength
    from records as one
    semi join touched using (customer_number)
    join records as other on other.phone = one.phone and other.customer_number <> one.customer_number
    anti join {{ crowded("customers", "phone") }} as crowd on crowd.value = cast(one.phone as varchar)
    qualify count(*) over (partition by one.customer_number) < 20
),

-- Those that were found before, where nothing was said of either since.
pairs as (
    select least(one, other) as one, greatest(one, other) as other, min(strength) as strength
    from (
        select * from alike
        union all
        select customer_number, other, strength from {{ previous("customers_matches", columns="customer_number, other, strength") }}
        where customer_number not in (from touched) and other not in (from touched)
    )
    group by all
),

between_systems as (
    select
        if(a.first_inbox_id < b.first_inbox_id, a, b) as elder,
        if(a.first_inbox_id < b.first_inbox_id, b, a) as younger,
        strength
    from pairs
    join records as a on a.customer_number = pairs.one
    join records as b on b.customer_number = pairs.other
    where not list_has_any(a.systems, b.systems)
        and a.customer_number not in (select customer_number from said where stands_alone)
        and b.customer_number not in (select customer_number from said where stands_alone)
),

-- Of one system only one can be this record; one of each of several systems may well be the same.
counted as (
    select customer_number, len(flatten(list(systems))) > len(list_distinct(flatten(list(systems)))) as is_ambiguous
    from (
        select younger.customer_number as customer_number, elder.systems as systems from between_systems
        union all
        select elder.customer_number, younger.systems from between_systems
    )
    group by customer_number
)

select
    younger.customer_number as customer_number,
    elder.customer_number as other,
    strength,
    ['number', 'email', 'phone'][strength] as agree_on,
    younger.known_as as known_as,
    younger.last_received_at as since,
    case
        when younger.customer_number in (select customer_number from said) then 'a person said what it is'
        when mine.is_ambiguous or theirs.is_ambiguous then 'there are others like them'
        when strength = 2 and younger.number <> elder.number then 'their number differs'
        when strength = 3 and younger.number <> elder.number then 'their number differs'
        when strength = 3 and younger.email <> elder.email then 'their email differs'
        when strength = 3 then 'that alone is not sure'
    end as doubt
from between_systems
join counted as mine on mine.customer_number = younger.customer_number
join counted as theirs on theirs.customer_number = elder.customer_number
qualify doubt is not null or row_number() over (partition by younger.customer_number, doubt is null order by elder.first_inbox_id) = 1

<% set selling = e.selling %>
<% set told = selling.told %>
<% set sale = selling.sales.key[0] %>
<% set buyer = selling.buyers.key[0] %>
-- generated from pipelines/map by `concord write`; do not edit
-- Which price lists the buyer of each sale had when it was made: one row per sale and list, in the order of their rules.
{{ config(materialized="view", tags=["reconcile_<< e.name >>"]) }}

with sales as (
    select
        << sale >>, << told.at >> as sold_at, << told.buyer.number >> as number, origin_system, markets.price_list as market,
        struct_pack(<< selling.fields_of_sale | map("packed") | join(", ") or "sold := true" >>) as << selling.sales.entity >>
    from {{ ref("<< selling.sales.entity >>") }} as records
    left join {{ ref("<< e.name >>_markets") }} as markets on markets.country = records.<< told.country >> and markets.currency = coalesce(<< "records." ~ told.shown_in ~ ", " if told.shown_in >>records.<< told.currency >>)
    where deleted_at is null
),

-- Who it is whom a channel knows by this number.
people as (
    select known.system, known.remote_id, min(<< buyer >>) as << buyer >>
    from (select << buyer >>, unnest(known_as) as known from {{ ref("<< selling.buyers.entity >>") }})
    group by all
),

<% for name in selling.fields_of_buyer %>
-- What << name >> of a buyer was, and since when; before the first word on it, that word counts.
past_<< name >> as (
    select << buyer >>, cast(value as << e.child_named(selling.buyers.entity).fields[name] | sql_type >>) as << name >>, since
    from {{ ref("<< selling.buyers.entity >>_past") }}
    where field = '<< name >>'
),

-- A person's decision on it stands for all times.
decided_<< name >> as (
    select key as << buyer >>
    from {{ ref("ledger_<< selling.buyers.entity >>") }}
    where field = '<< name >>' and kind in ('decided', 'revoked')
    qualify row_number() over (partition by key order by ledger_id desc) = 1 and kind = 'decided'
),

<% endfor %>
-- A list is somebody's from the first day of its prices to the last.
lists as (
    select
        price_list, << selling.names_of_prices | join(", ") ~ "," if selling.names_of_prices >>
        min(coalesce(valid_from, timestamptz '0001-01-01')) as begins_at, max(coalesce(valid_to, timestamptz '9999-01-01')) as ends_at
    from {{ ref("<< e.name >>") }}
    where deleted_at is null and amount is not null
    group by all
),

buyers as (
    select
        sales.*,
        struct_pack(
<% for name in selling.fields_of_buyer %>
            << name >> := if(decided_<< name >>.<< buyer >> is null, past_<< name >>.<< name >>, now_known.<< name >>)<< "," if not loop.last >>
<% else %>
            known := true
<% endfor %>
        ) as << selling.buyers.entity >>
    from sales
    left join people on people.system = sales.origin_system and people.remote_id = sales.number
    left join {{ ref("<< selling.buyers.entity >>") }} as now_known on now_known.<< buyer >> = people.<< buyer >>
<% for name in selling.fields_of_buyer %>
    asof left join past_<< name >> on past_<< name >>.<< buyer >> = people.<< buyer >> and past_<< name >>.since <= sales.sold_at
    left join decided_<< name >> on decided_<< name >>.<< buyer >> = people.<< buyer >>
<% endfor %>
)

<% for name, one in told.lists.items() %>
select
    << sale >>, << loop.index >> as place, '<< name >>' as rule, << one.alone | lower >> as is_alone,
<% if one.list_ %>
    cast(<< one.list_ >> as varchar) as price_list
from buyers
where (<< one.list_ >>) is not null
<% else %>
    lists.price_list
from buyers
join lists on << one.has | found_by >>
    and buyers.sold_at >= lists.begins_at and buyers.sold_at < lists.ends_at
<% endif %>
<< "\nunion all\n" if not loop.last >>
<% endfor %>

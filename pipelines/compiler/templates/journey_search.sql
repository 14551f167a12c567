-- The keys of << e.name >> that go by this name anywhere: key, remote id, or number.
select distinct found.key
from (
    select stg.*, << "coalesce(links.key, stg." ~ e.key[0] ~ ")" if e.key | length == 1 else "concat_ws('|', stg." ~ e.key | join(", stg.") ~ ")" >> as key
    from stg_<< e.name >> as stg
    left join links_<< e.name >> as links using (system, remote_id)
) as found
where found.key is not null and (
    found.key = $name or found.remote_id = $name
<% for field in names %>
    or found.<< field >> in ($name, '#' || $name)
<% endfor %>
)
order by found.key
limit 20

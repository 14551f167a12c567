-- name: links_of_system
-- How many records of each entity are known by the system's own ids.
select entity, count(*) as records
from links
where system = :system
group by entity
order by entity

-- name: deliveries_not_applied
-- What is still under way to the system, or waits there for a person.
select flow, status::text as status, count(*) as deliveries
from outbox
where system = :system and status not in ('applied', 'replaced')
group by flow, status
order by flow, status

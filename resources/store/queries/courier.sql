-- name: expire_leases
-- Their couriers died, or lost the database: what became of these deliveries is looked up.
with expired as (
    select delivery_id from outbox
    where system = :system and status = 'sending' and leased_until < now()
    order by delivery_id
    for update skip locked
), journal as (
    insert into attempts (delivery_id, started_at, result, reason)
    select delivery_id, now(), 'unknown', 'its courier ended before it could tell' from expired
)
update outbox
set status = 'unknown', due_at = now(), leased_until = null, leased_by = null,
    last_error = 'its courier ended before it could tell'
from expired
where outbox.delivery_id = expired.delivery_id

-- name: next_due
-- The flow and action of the next batch: tier by tier, oldest first. Flows are found by hopping through the index.
-- `offset 0` keeps the planner from joining the whole backlog with itself for the sake of one row.
with recursive flows as (
    (select flow from outbox where system = :system and status = 'due' order by flow limit 1)
    union all
    select next.flow
    from flows
    cross join lateral (
        select flow from outbox
        where system = :system and status = 'due' and outbox.flow > flows.flow order by flow limit 1
    ) as next
)
select flows.flow, first.action
from flows
cross join lateral (
    select delivery_id, action, due_at from outbox
    where system = :system and status = 'due' and outbox.flow = flows.flow and due_at <= now()
      and not exists (
          select from outbox as earlier
          where earlier.flow = outbox.flow and earlier.key = outbox.key and earlier.version < outbox.version
            and earlier.status in ('due', 'sending', 'unknown', 'parked')
          offset 0
      )
    order by due_at, delivery_id limit 1
    for update skip locked
) as first
left join unnest(cast(:tiered as text[]), cast(:tiers as int[])) as tiers (flow, tier) on tiers.flow = flows.flow
order by coalesce(tier, 3), due_at, delivery_id
limit 1

-- name: pick_due
select delivery_id, flow, action from outbox
where system = :system and status = 'due' and flow = :flow and action = :action and due_at <= now()
  and not exists (
      select from outbox as earlier
      where earlier.flow = outbox.flow and earlier.key = outbox.key and earlier.version < outbox.version
        and earlier.status in ('due', 'sending', 'unknown', 'parked')
      offset 0
  )
order by due_at, delivery_id limit :limit
for update skip locked

-- name: pick_unknown
select delivery_id, flow, action from outbox
where system = :system and status = 'unknown' and due_at <= now() and coalesce(leased_until, '-infinity') < now()
order by due_at, delivery_id limit :limit
for update skip locked

-- name: pick_parked
-- Only what a courier parked: what a flood, the shadow or foreign writes parked waits for its own word.
select delivery_id, flow, action from outbox
where system = :system and status = 'parked' and parked_by_run = :parked_by_run
  and case when :to_look_up then parked_because = 'unknown' else parked_because in ('refused', 'gave up') end
  and delivery_id <> all(cast(:tried as bigint[]))
  and not exists (
      select from outbox as earlier
      where earlier.flow = outbox.flow and earlier.key = outbox.key and earlier.version < outbox.version
        and earlier.status in ('due', 'sending', 'unknown', 'parked')
      offset 0
  )
order by delivery_id limit :limit
for update skip locked

-- name: lease
-- Sent counts from here on: a courier that dies now may have sent it.
update outbox
set status = cast(case when :to_look_up then 'unknown' else 'sending' end as delivery_status),
    leased_by = :courier,
    leased_until = now() + make_interval(secs => :lease_seconds),
    attempts = case when :to_look_up then attempts else attempts + 1 end,
    first_sent_at = case when :to_look_up then first_sent_at else coalesce(first_sent_at, now()) end,
    parked_because = null,
    parked_by_run = null
where delivery_id = any(cast(:delivery_ids as bigint[]))
returning delivery_id, flow, entity, key, version, action, payload, coalesce(remote_id, (
    select links.remote_id from links
    where links.entity = outbox.entity and links.key = outbox.key and links.system = outbox.system
    order by made_at desc limit 1
)) as remote_id

-- name: extend_leases
update outbox set leased_until = now() + make_interval(secs => :lease_seconds)
where delivery_id = any(cast(:delivery_ids as bigint[])) and leased_by = :courier and status in ('sending', 'unknown')

-- name: stop_told
select count(*) from (
    select from outbox where delivery_id = any(cast(:delivery_ids as bigint[])) order by delivery_id for update
) as stopped

-- name: record_outcomes
-- What each delivery is now. Only the courier that holds the lease may say that a delivery failed; that it was applied
-- is a fact, whoever tells it. Back-off is exponential with full jitter; `tries` count since a person last requeued it.
with told as (
    select * from unnest(
        cast(:delivery_ids as bigint[]), cast(:results as text[]), cast(:reasons as text[]),
        cast(:retry_afters as double precision[])
    ) as told (delivery_id, result, reason, retry_after)
), rules as (
    select * from unnest(
        cast(:flows as text[]), cast(:retry_fors as double precision[]), cast(:parks as boolean[]),
        cast(:latests as boolean[])
    ) as rules (flow, retry_for, parks, is_latest)
), journal as (
    insert into attempts (delivery_id, run_id, started_at, ended_at, result, reason)
    select delivery_id, :run_id, :started_at, clock_timestamp(), result, reason from told
), known as (
    select outbox.delivery_id, told.result, told.reason,
           coalesce(parks, true) as parks,
           now() >= first_sent_at + make_interval(secs => coalesce(retry_for, :retry_for)) as is_too_late,
           coalesce(is_latest, false) and exists (
               select from outbox as newer
               where newer.flow = outbox.flow and newer.key = outbox.key and newer.version > outbox.version
                 and newer.status <> 'replaced'
           ) as is_overtaken,
           tries.unknowns,
           greatest(
               coalesce(told.retry_after, 0),
               random() * least(:longest_wait, :shortest_wait * power(2, least(tries.failures, 20)))
           ) as wait
    from outbox
    join told using (delivery_id)
    left join rules using (flow)
    cross join lateral (
        select count(*) as failures, count(*) filter (where attempts.result = 'still unknown') as unknowns
        from attempts
        where attempts.delivery_id = outbox.delivery_id and attempts.attempt_id > coalesce((
            select max(attempt_id) from attempts as requeued
            where requeued.delivery_id = outbox.delivery_id and requeued.result = 'requeued'
        ), 0)
    ) as tries
    where (outbox.leased_by = :courier and outbox.status in ('sending', 'unknown'))
       or (told.result in ('applied', 'found') and outbox.status <> 'applied')
), judged as (
    select *,
           case
               when result in ('applied', 'found') then 'applied'
               when result in ('refused', 'own field', 'retry', 'not found') and is_overtaken then 'replaced'
               when result in ('refused', 'own field') then 'parked'
               when result = 'not found' then 'due'
               when result = 'retry' then case when is_too_late and parks then 'parked' else 'due' end
               when result = 'cannot look up' then 'parked'
               when result = 'still unknown' and unknowns + 1 >= :look_ups then 'parked'
               when result = 'look-up failed' and is_too_late and parks then 'parked'
               else 'unknown'
           end as status_now
    from known
)
update outbox
set status = cast(status_now as delivery_status),
    due_at = case
        when status_now = 'due' and result = 'not found' then now()
        when status_now = 'due' then now() + make_interval(secs => wait)
        when status_now = 'unknown' then now() + make_interval(secs => greatest(wait, :look_up_after))
        else due_at
    end,
    leased_until = null,
    leased_by = null,
    applied_at = case when status_now = 'applied' then clock_timestamp() end,
    last_error = case when status_now <> 'applied' then judged.reason end,
    parked_because = case
        when status_now <> 'parked' then null
        when result in ('refused', 'own field') then result
        when result = 'retry' then 'gave up'
        else 'unknown'
    end,
    parked_by_run = case when status_now = 'parked' then :parked_by_run end
from judged
where outbox.delivery_id = judged.delivery_id
returning outbox.delivery_id, flow, entity, system, key, version, action, payload, outbox.remote_id, outbox.reason, cast(status as text) as status,
          parked_because, judged.result, judged.reason as told, is_too_late and not parks as is_overdue,
          not exists (
              select from outbox as before
              where before.flow = outbox.flow and before.key = outbox.key and before.version = outbox.version - 1
                and before.status = 'replaced' and before.last_error = judged.reason
          ) as is_news,
          extract(epoch from applied_at - received_at)::double precision as lag_seconds

-- name: link_applied
insert into links (entity, system, remote_id, key, made_by)
select distinct on (entity, system, remote_id) entity, system, remote_id, key, 'courier'
from unnest(
    cast(:entities as text[]), cast(:systems as text[]), cast(:remote_ids as text[]), cast(:keys as text[])
) as applied (entity, system, remote_id, key)
order by entity, system, remote_id, key
on conflict do nothing
returning entity, system, remote_id, key

-- name: links_of_others
select links.entity, links.system, links.remote_id, links.key as linked_key, applied.key
from unnest(
    cast(:entities as text[]), cast(:systems as text[]), cast(:remote_ids as text[]), cast(:keys as text[])
) as applied (entity, system, remote_id, key)
join links using (entity, system, remote_id)
where links.key <> applied.key

-- name: ledger_applied
insert into ledger (entity, key, kind, system, remote_id, value, flow, by_whom)
select * from unnest(
    cast(:entities as text[]), cast(:keys as text[]), cast(:kinds as text[]), cast(:systems as text[]),
    cast(:remote_ids as text[]), cast(:values as text[]), cast(:flows as text[]), cast(:by_whom as text[])
)

-- name: systems_with_due
-- What waits and what is away is found by hopping through the indexes of both.
with recursive waiting as (
    (select system, flow from outbox where status = 'due' order by system, flow limit 1)
    union all
    select next.system, next.flow
    from waiting
    cross join lateral (
        select system, flow from outbox
        where status = 'due' and (outbox.system, outbox.flow) > (waiting.system, waiting.flow)
        order by system, flow limit 1
    ) as next
), open as (
    select waiting.system
    from waiting
    cross join lateral (
        select from outbox
        where outbox.system = waiting.system and outbox.flow = waiting.flow and status = 'due' and due_at <= now()
          and not exists (
              select from outbox as earlier
              where earlier.flow = outbox.flow and earlier.key = outbox.key and earlier.version < outbox.version
                and earlier.status in ('due', 'sending', 'unknown', 'parked')
              offset 0
          )
        limit 1
    ) as first
    union
    select system from outbox
    where status in ('sending', 'unknown') and due_at <= now() and coalesce(leased_until, '-infinity') < now()
)
select system
from open
left join destinations using (system)
where open_until is null or open_until <= now()
order by system

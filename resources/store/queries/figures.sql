-- name: count_messages
-- How many messages each stream brought beyond what was counted before; ids become visible in their order.
select system, stream, count(*) as messages, max(inbox_id) as upto_inbox_id
from inbox
where inbox_id > :after_inbox_id
group by system, stream

-- name: count_deliveries
select
    flow,
    count(*) filter (where reason <> 'already held') as born,
    count(*) filter (where status = 'applied' and reason <> 'already held') as applied,
    count(*) filter (where status in ('due', 'sending', 'unknown') and due_at < 'infinity') as waiting,
    count(*) filter (where status = 'due' and due_at = 'infinity') as held,
    count(*) filter (where status = 'parked') as parked
from outbox
group by flow

-- name: settle_lags
-- Of the newest messages of these streams: the seconds from received to settled, or to now.
select
    percentile_cont(0.5) within group (order by lag) as p50,
    percentile_cont(0.95) within group (order by lag) as p95
from (
    select extract(epoch from coalesce(settled.at, now()) - newest.received_at)::double precision as lag
    from unnest(cast(:systems as text[]), cast(:streams as text[])) as told (system, stream)
    cross join lateral (
        select inbox_id, received_at from inbox
        where inbox.system = told.system and inbox.stream = told.stream
        order by inbox_id desc limit 200
    ) as newest
    cross join lateral (
        select min(settled_at) as at from batches
        where batches.entity = :entity and settled_at is not null and upto_inbox_id >= newest.inbox_id
    ) as settled
    where newest.received_at > now() - interval '1 hour'
) as lags

-- name: delivery_lags
-- Of the newest deliveries of a flow: the seconds from the message behind it received to applied.
select
    percentile_cont(0.5) within group (order by lag) as p50,
    percentile_cont(0.95) within group (order by lag) as p95
from (
    select extract(epoch from applied_at - received_at)::double precision as lag
    from outbox
    where flow = :flow and status = 'applied' and reason <> 'already held' and received_at is not null
      and applied_at > now() - interval '1 hour'
    order by applied_at desc limit 200
) as lags

-- name: first_applied
-- The first delivery into these systems whose message came after we started.
select min(applied_at) as applied_at
from outbox
where system = any(cast(:systems as text[])) and entity = :entity and status = 'applied'
  and reason <> 'already held' and received_at >= :since

-- name: open_alerts
select subject, kind, steward, sentence, raised_at, now() - raised_at as age
from alerts
where over_at is null
order by raised_at

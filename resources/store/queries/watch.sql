-- name: news
-- Whether anything was said about each of these entities since its last settled batch. Each stream's newest message is one
-- look into an index, so that this can be asked every second, of all entities at once. What couriers wrote can wait a
-- little: it changes what is known of links and echoes, not what is wanted.
with asked as (
    select * from jsonb_to_recordset(cast(:asked as jsonb))
        as asked (entity text, of text, fingerprint text, needs text[], streams jsonb)
)
select
    asked.entity,
    last.fingerprint,
    exists (
        select from batches
        where entity = asked.entity and fingerprint = asked.fingerprint and settled_at is not null
    ) as was_settled_so,
    extract(epoch from now() - last.opened_at)::double precision as seconds_since,
    array(
        select needed from unnest(asked.needs) as needed
        where not exists (select from batches where entity = needed and settled_at is not null)
        order by needed
    ) as needed,
    told.at_all as has_messages,
    told.urgently as has_urgent_messages,
    last.turns_at <= now() as has_turned,
    exists (
        select from ledger
        where entity = asked.entity and ledger_id > last.upto_ledger_id
          and kind in ('decided', 'revoked', 'restore', 'repair', 'unlinked')
    ) as has_wishes,
    exists (
        select from ledger
        where ledger_id > last.upto_ledger_id and happened_at < now() - interval '20 seconds'
          and (entity = asked.entity and kind in ('linked', 'delivered')
               or entity = asked.of and kind in ('linked', 'unlinked'))
    ) as has_deliveries,
    exists (select from wakes where entity = asked.entity) as has_neighbours
from asked
left join lateral (
    select batch_id, upto_inbox_id, upto_ledger_id, fingerprint, opened_at, turns_at from batches
    where entity = asked.entity and settled_at is not null
    order by batch_id desc limit 1
) as last on true
left join lateral (
    select bool_or(newest.inbox_id > last.upto_inbox_id) as at_all,
           bool_or(newest.inbox_id > last.upto_inbox_id and stream.is_urgent) as urgently
    from jsonb_to_recordset(asked.streams) as stream (system text, stream text, is_urgent boolean)
    cross join lateral (
        select inbox_id from inbox
        where inbox.system = stream.system and inbox.stream = stream.stream
        order by inbox_id desc limit 1
    ) as newest
) as told on true

-- name: flow_health
-- One flow to one destination: the last hour's deliveries, and what is open now. A repair's lag says nothing of the
-- promise, for its message is old.
with applied as (
    select attempts,
           extract(epoch from applied_at - received_at)::double precision as lag,
           reason in ('new', 'changed', 'withdrawn') as is_promised
    from outbox
    where flow = :flow and system = :system and status = 'applied' and reason <> 'already held'
      and applied_at > now() - interval '1 hour'
), open as (
    select status, due_at = 'infinity' as is_held,
           case when reason in ('new', 'changed', 'withdrawn') and due_at <> 'infinity' then
               extract(epoch from now() - received_at)::double precision
           end as age
    from outbox
    where flow = :flow and system = :system and status in ('due', 'sending', 'unknown')
), parked as (
    select count(*) as parked,
           count(*) filter (where parked_because = 'flood') as flooded,
           (array_agg(key order by delivery_id))[1] as parked_key,
           (array_agg(parked_because order by delivery_id))[1] as parked_because,
           (array_agg(last_error order by delivery_id))[1] as parked_error,
           (array_agg(parked_by_run order by delivery_id))[1] as parked_by_run
    from outbox
    where flow = :flow and system = :system and status = 'parked' and parked_because <> 'shadow'
)
select
    (select count(*) from applied) as applied,
    (select count(*) from applied where attempts <= 1) as applied_at_once,
    (select percentile_cont(0.5) within group (order by lag) from applied where is_promised) as lag_p50,
    (select percentile_cont(0.95) within group (order by lag) from applied where is_promised) as lag_p95,
    (select count(*) from open where status in ('due', 'sending') and not is_held) as waiting,
    (select count(*) from open where status = 'unknown') as unknown,
    (select count(*) from open where is_held) as held,
    (select max(age) from open) as oldest,
    parked.*
from parked

-- name: arrivals_of_stream
-- When a sender was heard, to the minute: a burst counts once, so that a file of a thousand rows sets no pace.
select count(*) as moments, min(minute) as first_at, max(minute) as last_at,
       extract(epoch from now() - max(minute))::double precision as silent_for
from (
    select distinct date_trunc('minute', received_at) as minute
    from (
        select received_at from inbox
        where system = :system and stream = :stream
        order by inbox_id desc limit 1000
    ) as newest
) as minutes

-- name: files_of_stream
select count(*) as moments, min(taken_at) as first_at, max(taken_at) as last_at,
       extract(epoch from now() - max(taken_at))::double precision as silent_for
from (
    select taken_at from files where system = :system and stream = :stream order by taken_at desc limit 30
) as newest

-- name: messages_in_batch
select inbox_id from inbox
where inbox_id > :after_inbox_id and inbox_id <= :upto_inbox_id and system || '/' || stream = any(cast(:streams as text[]))

-- name: fresh_snapshot
-- A complete look that began so lately that another would tell the same.
select records from snapshots
where system = :system and stream = :stream and finished_at is not null
  and started_at > now() - make_interval(secs => :seconds)
order by snapshot_id desc limit 1

-- name: has_dagster_tables
select 1 where to_regclass('dagster.runs') is not null and to_regclass('dagster.asset_check_executions') is not null

-- name: forget_dagster_runs
-- Successful runs tell little after a while, and at one a second they are the largest tables of all. Events that a run
-- left behind are found through the runs, so the runs go last.
with old as (
    select run_id from dagster.runs
    where (status = 'SUCCESS' and update_timestamp < now() at time zone 'utc' - make_interval(hours => :success_hours))
       or (status in ('FAILURE', 'CANCELED')
           and update_timestamp < now() at time zone 'utc' - make_interval(days => :failure_days))
    limit :at_once
), events as (
    delete from dagster.event_logs where run_id in (select run_id from old)
), checks as (
    delete from dagster.asset_check_executions where run_id in (select run_id from old)
), tags as (
    delete from dagster.run_tags where run_id in (select run_id from old)
)
delete from dagster.runs where run_id in (select run_id from old)

-- name: forget_dagster_ticks
delete from dagster.job_ticks
where (status = 'SKIPPED' and timestamp < now() at time zone 'utc' - interval '6 hours')
   or timestamp < now() at time zone 'utc' - make_interval(days => :failure_days)

-- name: forget_attempts
delete from attempts
using outbox
where outbox.delivery_id = attempts.delivery_id and outbox.status in ('applied', 'replaced')
  and attempts.ended_at < now() - make_interval(days => :days)

-- name: forget_alerts
delete from alerts where over_at < now() - make_interval(days => :days)

-- name: daemon_works
-- Dagster keeps its times in UTC, without saying so.
select from dagster.daemon_heartbeats where daemon_type = 'SENSOR' and timestamp at time zone 'UTC' > :since

-- name: looks
select system, stream, upto_inbox_id, messages, began_at < now() - make_interval(secs => :seconds) as is_old from looks

-- name: first_to_look_at
-- Where the first look at a stream begins: what lies further back is no news.
select coalesce((
    select inbox_id from inbox where system = :system and stream = :stream
    order by inbox_id desc offset :most limit 1
), 0) as after

-- name: bound_of_piece
select max(inbox_id) as upto
from (
    select inbox_id, row_number() over told as position, sum(octet_length(payload)) over told as bytes
    from (
        select inbox_id, payload from inbox
        where system = :system and stream = :stream and inbox_id > :after
        order by inbox_id limit :most
    ) as next
    window told as (order by inbox_id)
) as piece
where bytes <= :bytes or position = 1

-- name: messages_of_piece
select inbox_id, payload from inbox
where system = :system and stream = :stream and inbox_id > :after and inbox_id <= :upto
order by inbox_id

-- name: streams_of_inbox
-- Every stream that ever said something, found by hopping through the index; and how much is new of it.
with recursive said as (
    (select system, stream from inbox order by system, stream limit 1)
    union all
    select next.system, next.stream
    from said
    cross join lateral (
        select system, stream from inbox
        where (inbox.system, inbox.stream) > (said.system, said.stream)
        order by system, stream limit 1
    ) as next
)
select system, stream, newest.inbox_id as newest_inbox_id
from said
cross join lateral (
    select inbox_id from inbox
    where inbox.system = said.system and inbox.stream = said.stream
    order by inbox_id desc limit 1
) as newest

-- name: count_new_of_stream
select count(*) as messages, min(inbox_id) as first_inbox_id from inbox
where system = :system and stream = :stream and inbox_id > :after and inbox_id <= :upto

-- name: keep_look
insert into looks (system, stream, upto_inbox_id, messages)
values (:system, :stream, :upto, :messages)
on conflict (system, stream) do update
set upto_inbox_id = excluded.upto_inbox_id, messages = looks.messages + excluded.messages

-- name: keep_shapes
insert into shapes (system, stream, path, kind, is_known, messages, first_inbox_id, last_inbox_id)
select :system, :stream, path, kind, :is_known, messages, first_inbox_id, last_inbox_id
from unnest(
    cast(:paths as text[]), cast(:kinds as text[]), cast(:messages as bigint[]), cast(:firsts as bigint[]),
    cast(:lasts as bigint[])
) as told (path, kind, messages, first_inbox_id, last_inbox_id)
on conflict (system, stream, path, kind) do update
set messages = shapes.messages + excluded.messages, last_inbox_id = excluded.last_inbox_id

-- name: unknown_shapes
-- Paths that came later than the stream's first messages, and objects and lists where none was before.
select path, min(first_inbox_id) as first_inbox_id, max(last_inbox_id) as last_inbox_id, sum(messages)::bigint as messages,
       (array_agg(kind order by kind = 'null', first_inbox_id))[1] as kind
from shapes
where system = :system and stream = :stream and not is_known
  and (kind in ('object', 'list') or not exists (
      select from shapes as before
      where before.system = shapes.system and before.stream = shapes.stream and before.path = shapes.path
        and before.is_known
  ))
group by path
order by path

-- name: know_shapes
update shapes set is_known = true
where system = :system and stream = :stream and path = any(cast(:paths as text[])) and not is_known

-- name: paths_of_stream
select distinct path from shapes where system = :system and stream = :stream

-- name: promises_of_stream
select path, promise, chances, kept, missed, longest_missed, last_kept_inbox_id from promises
where system = :system and stream = :stream
order by path, promise

-- name: keep_promises
insert into promises (system, stream, path, promise, chances, kept, missed, longest_missed, last_kept_inbox_id)
select :system, :stream, * from unnest(
    cast(:paths as text[]), cast(:promises as text[]), cast(:chances as bigint[]), cast(:kepts as bigint[]),
    cast(:misses as bigint[]), cast(:longests as bigint[]), cast(:lasts as bigint[])
)
on conflict (system, stream, path, promise) do update
set chances = excluded.chances, kept = excluded.kept, missed = excluded.missed,
    longest_missed = excluded.longest_missed, last_kept_inbox_id = excluded.last_kept_inbox_id

-- name: forget_promises
delete from promises where system = :system and stream = :stream and path <> all(cast(:paths as text[]))

-- name: kinds_at
select kind from shapes
where system = :system and stream = :stream and path = :path and last_inbox_id > :after
order by last_inbox_id desc, kind limit 1

-- name: keep_findings
-- Told once; told again, it is only counted. Of writers only the new messages are told, of all others the whole.
insert into findings (system, stream, kind, what, steward, next_step, example, messages, first_inbox_id, first_seen_at, last_seen_at)
select told.system, told.stream, told.kind, what, steward, next_step, example, messages, first_inbox_id,
       coalesce(told.first_seen_at, first.received_at, now()), coalesce(told.last_seen_at, last.received_at, now())
from unnest(
    cast(:systems as text[]), cast(:streams as text[]), cast(:kinds as text[]), cast(:whats as text[]),
    cast(:stewards as text[]), cast(:next_steps as text[]), cast(:examples as text[]), cast(:messages as bigint[]),
    cast(:firsts as bigint[]), cast(:lasts as bigint[]), cast(:firsts_at as timestamptz[]),
    cast(:lasts_at as timestamptz[])
) as told (system, stream, kind, what, steward, next_step, example, messages, first_inbox_id, last_inbox_id,
           first_seen_at, last_seen_at)
left join inbox as first on first.inbox_id = told.first_inbox_id
left join inbox as last on last.inbox_id = told.last_inbox_id
on conflict (system, stream, kind, what) where over_at is null do update
set steward = excluded.steward, next_step = excluded.next_step,
    messages = case when findings.kind = 'writer' then findings.messages else 0 end + excluded.messages,
    last_seen_at = excluded.last_seen_at

-- name: end_findings
update findings set over_at = now()
where over_at is null and kind = any(cast(:kinds as text[])) and system = :system and stream = :stream
  and what <> all(cast(:whats as text[]))

-- name: end_findings_elsewhere
-- What was told of streams and systems that the map no longer has: that they are gone is told instead.
update findings set over_at = now()
where over_at is null and case
    when kind in ('field', 'writer') then system || '/' || stream <> all(cast(:streams as text[]))
    when kind in ('topic', 'file') then system <> all(cast(:systems as text[]))
end

-- name: open_findings
select finding_id, system, stream, kind, what, steward, next_step, example, messages, first_inbox_id, first_seen_at,
       last_seen_at, date_trunc('second', now() - first_seen_at) as age
from findings
where over_at is null
order by first_seen_at, finding_id

-- name: unknown_topics
-- Signed by the system, and named by no stream.
select topic, sum(answers)::bigint as messages, min(minute) as first_seen_at, max(minute) as last_seen_at
from webhook_health
where system = :system and outcome = 'unknown topic'
group by topic

-- name: told_of
select what from findings
where over_at is null and kind = :kind and system = :system and stream = :stream

-- name: alerts_of_kind
select subject from alerts where over_at is null and kind = :kind

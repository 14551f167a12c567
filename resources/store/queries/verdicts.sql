-- name: add_to_verdict_counts
insert into verdict_counts (entity, hour, system, stream, verdict, messages)
select :entity, hour, system, stream, verdict, messages
from unnest(
    cast(:hours as timestamptz[]), cast(:systems as text[]), cast(:streams as text[]), cast(:verdicts as text[]),
    cast(:messages as bigint[])
) as more (hour, system, stream, verdict, messages)
on conflict (entity, hour, system, stream, verdict)
do update set messages = verdict_counts.messages + excluded.messages

-- name: forget_verdict_counts
-- Those of hours that nobody asks about any more, or of all.
delete from verdict_counts
where entity = :entity and (:all_of_them or hour > '-infinity' and hour < date_trunc('hour', now()) - interval '1 day')

-- name: verdict_counts
select entity, system, stream, verdict, messages from verdict_counts
where entity = any(cast(:entities as text[])) and hour = '-infinity'

-- name: judged_in_the_last_day
select coalesce(sum(messages), 0)::bigint as messages,
       coalesce(sum(messages) filter (where verdict = 'quarantined'), 0)::bigint as quarantined
from verdict_counts
where entity = :entity and hour > now() - interval '1 day'

-- name: begin_wanting
create temp table if not exists wanted_now (
    flow               text not null,
    system             text not null,
    key                text not null,
    is_wanted          boolean not null,
    action_on_leave    text check (action_on_leave in ('cancel', 'archive', 'delete', 'ignore')),
    payload            text check (payload like '{%'),
    remote_id          text,
    held_because       text,
    asked              text check (asked in ('restore', 'repair', 'decision')),
    mode               text not null check (mode in ('live', 'canary', 'shadow')),
    already_held       boolean not null,
    caused_by_inbox_id bigint,
    received_at        timestamptz,
    deliver            text not null check (deliver in ('latest', 'every')),
    check (payload is not null or not is_wanted)
) on commit drop

-- name: forget_wanting
truncate wanted_now

-- name: copy_wanted
copy wanted_now (
    flow, system, key, is_wanted, action_on_leave, payload, remote_id, held_because, asked, mode, already_held,
    caused_by_inbox_id, received_at, deliver
) from stdin (format csv)

-- name: measure_wanted
analyze wanted_now (flow, key)

-- name: wanted_twice
select flow, key from wanted_now group by flow, key having count(*) > 1 limit 1

-- name: take_turns_by_flow
select pg_advisory_xact_lock(hashtextextended('outbox ' || flow, 0))
from (select distinct flow from wanted_now order by flow) as flows

-- name: stop_what_has_not_left
-- Couriers and people must not move a version of these keys between the judgement and the births.
select count(*) from (
    select from outbox join wanted_now using (flow, key)
    where status in ('due', 'parked')
    order by delivery_id
    for update of outbox
) as stopped

-- name: forget_judgement
drop table if exists judged_now

-- name: judge_wanted
-- One row a wanted row, with the birth that follows from it. `last` is the newest version that still counts: neither
-- replaced, nor merely parked by a shadow that has ended. An ask is answered by a version that was born of it after the
-- ledger's entry, or, where nobody wrote one, by a last version that the same message caused.
create temp table judged_now on commit drop as
with seen as (
    select wanted_now.*,
           coalesce(newest.version, 0) as newest_version,
           last.version is not null as is_known,
           last.system as last_system,
           last.action as last_action,
           last.payload as last_payload,
           last.remote_id as last_remote_id,
           last.parked_because as last_parked_because,
           last.payload is not distinct from wanted_now.payload and last.action = 'upsert' as is_same,
           asked is not null and (
               (last.status = 'due' and last.reason = asked and last.payload = wanted_now.payload)
               or case
                   when said.asked_at is null then
                       last.reason = asked and last.payload = wanted_now.payload
                       and last.caused_by_inbox_id is not distinct from wanted_now.caused_by_inbox_id
                   else exists (
                       select from outbox as answer
                       where answer.flow = wanted_now.flow and answer.key = wanted_now.key
                         and answer.reason = asked and answer.created_at >= said.asked_at
                   )
               end
           ) as is_answered,
           case when not is_wanted and last.version is not null then exists (
               select from outbox as sent
               where sent.flow = wanted_now.flow and sent.key = wanted_now.key
                 and (sent.attempts > 0 or sent.status in ('sending', 'unknown', 'applied'))
           ) end as was_sent
    from wanted_now
    left join lateral (
        select version from outbox
        where outbox.flow = wanted_now.flow and outbox.key = wanted_now.key
        order by version desc limit 1
    ) as newest on true
    left join lateral (
        select version, system, action, payload, remote_id, reason, status, caused_by_inbox_id, created_at,
               case when status = 'parked' then parked_because end as parked_because
        from outbox
        where outbox.flow = wanted_now.flow and outbox.key = wanted_now.key and newest.version is not null
          and status <> 'replaced'
          and (wanted_now.mode = 'shadow' or status <> 'parked' or parked_because <> 'shadow')
        order by version desc limit 1
    ) as last on true
    left join lateral (
        select max(happened_at) as asked_at from ledger
        where wanted_now.asked is not null and ledger.entity = :entity and ledger.key = wanted_now.key
          and (ledger.flow is null or ledger.flow = wanted_now.flow)
          and case wanted_now.asked when 'decision' then ledger.kind in ('decided', 'revoked')
                                    else ledger.kind = wanted_now.asked end
    ) as said on true
), judged as (
    select *,
           case
               when not is_wanted and asked = 'repair' and not is_answered and was_sent
                    and coalesce(action_on_leave, 'ignore') <> 'ignore' then 'repair'
               when not is_wanted and (not is_known or last_action <> 'upsert') then null
               when not is_wanted and not was_sent then 'unsent'
               when not is_wanted and coalesce(action_on_leave, 'ignore') = 'ignore' then null
               when not is_wanted then 'withdrawn'
               when not is_known and already_held then 'already held'
               when not is_known then 'new'
               when asked is not null and not is_answered then asked
               when not is_same then 'changed'
           end as birth
    from seen
)
select flow, system, key, is_wanted, action_on_leave, remote_id, held_because, mode, caused_by_inbox_id, received_at,
       deliver, newest_version, is_known, last_system, last_remote_id, birth,
       case when birth is not null then coalesce(payload, last_payload) end as payload,
       is_wanted and held_because is not null and birth is distinct from 'already held' as is_held,
       case
           when mode = 'shadow' and birth <> 'already held' then 'shadow'
           when last_parked_because = 'flood' and birth in ('changed', 'restore', 'repair', 'decision') then 'flood'
           when birth = 'restore' and (
               last_parked_because = 'foreign writes'
               or (
                   select count(*) from outbox
                   where outbox.flow = judged.flow and outbox.key = judged.key and outbox.reason = 'restore'
                     and outbox.created_at > now() - interval '24 hours'
               ) >= :restores
           ) then 'foreign writes'
       end as parked_because
from judged
where birth is not null or newest_version > 0

-- name: measure_judgement
analyze judged_now (flow, key, birth, newest_version)

-- name: count_changes
-- Keys that the outbox knew and that this call would change: a person's repairs and decisions are no flood, and
-- neither are new keys, for a flash sale is none.
select flow, count(*) as changes
from judged_now
where not is_held and birth in ('changed', 'withdrawn', 'restore', 'unsent')
  and parked_because is distinct from 'shadow'
group by flow

-- name: count_keys
select count(*) as keys from outbox where flow = :flow and version = 1

-- name: park_flood
update judged_now set parked_because = 'flood'
where flow = :flow and birth not in ('unsent', 'already held') and not is_held
  and parked_because is distinct from 'shadow'

-- name: hold_back
update outbox set due_at = 'infinity', last_error = held_because
from judged_now
where outbox.flow = judged_now.flow and outbox.key = judged_now.key and is_held
  and outbox.status = 'due' and outbox.action = 'upsert'
  and (due_at <> 'infinity' or last_error is distinct from held_because)

-- name: let_go
update outbox set due_at = now(), last_error = null, first_sent_at = null
from judged_now
where outbox.flow = judged_now.flow and outbox.key = judged_now.key
  and is_wanted and held_because is null
  and outbox.status = 'due' and outbox.due_at = 'infinity'

-- name: replace_older
-- Under `every` all versions are kept in order, but a withdrawal does not wait behind what a person was to decide. What
-- is unknown is not replaced by another upsert, which could make the record a second time.
with replaced as (
    update outbox set status = 'replaced', leased_until = null, leased_by = null
    from judged_now
    where outbox.flow = judged_now.flow and outbox.key = judged_now.key and outbox.version <= newest_version
      and newest_version > 0 and outbox.status in ('due', 'parked')
      and (
          (birth is not null and not is_held and (
              birth = 'unsent'
              or (deliver = 'latest' and not (outbox.status = 'parked' and outbox.parked_because = 'unknown'))
              or (birth = 'withdrawn' and outbox.status = 'parked')
              or (outbox.status = 'parked' and outbox.parked_because = 'shadow' and mode <> 'shadow')
          ))
          or (not is_wanted and outbox.status = 'due' and outbox.due_at = 'infinity')
      )
    returning outbox.flow, outbox.key
), ended as (
    update alerts set over_at = now()
    from replaced
    where over_at is null and kind in ('parked', 'overdue') and subject = replaced.flow || '/' || replaced.key
)
select count(*) from replaced

-- name: take_back_what_is_gone
-- A wanted row without a payload is a key that no record has any longer: it was found to be another's. What has not arrived
-- must not make the record a second time; what nobody knows of is looked up first.
with replaced as (
    update outbox set status = 'replaced', leased_until = null, leased_by = null
    from wanted_now
    where outbox.flow = wanted_now.flow and outbox.key = wanted_now.key and wanted_now.payload is null
      and (outbox.status = 'due' or (outbox.status = 'parked' and outbox.parked_because <> 'unknown'))
    returning outbox.flow, outbox.key
), ended as (
    update alerts set over_at = now()
    from replaced
    where over_at is null and kind in ('parked', 'overdue') and subject = replaced.flow || '/' || replaced.key
)
select count(*) from replaced

-- name: bear
insert into outbox (flow, entity, system, key, version, action, payload, remote_id, reason, status, parked_because,
                    parked_by_run, caused_by_inbox_id, received_at, applied_at)
select flow,
       :entity,
       case when is_wanted then system else last_system end,
       key,
       newest_version + 1,
       case when is_wanted then 'upsert' else action_on_leave end,
       payload,
       coalesce(remote_id, last_remote_id),
       birth,
       cast(case when birth = 'already held' then 'applied' when parked_because is not null then 'parked' else 'due' end
            as delivery_status),
       parked_because,
       case when parked_because is not null then :run_id end,
       caused_by_inbox_id,
       received_at,
       case when birth = 'already held' then now() end
from judged_now
where birth <> 'unsent' and not is_held
order by received_at nulls first, caused_by_inbox_id, key

-- name: count_births
select flow, birth as reason, parked_because, count(*) as births
from judged_now
where birth <> 'unsent' and not is_held
group by flow, birth, parked_because
order by flow, birth, parked_because

-- name: held_births
select flow, key, held_because from judged_now
where is_held and (birth is not null or exists (
    select from outbox
    where outbox.flow = judged_now.flow and outbox.key = judged_now.key
      and outbox.status = 'due' and outbox.due_at = 'infinity'
))
order by flow, key

-- name: foreign_writes
select flow, key from judged_now where parked_because = 'foreign writes' and not is_held order by flow, key

-- name: ledger_what_was_held
insert into ledger (entity, key, kind, system, remote_id, value, flow, by_whom)
select :entity, key, 'held', system, remote_id, payload, flow, 'going live'
from judged_now
where birth = 'already held'
order by key

-- name: stop_flood
select delivery_id from outbox
where flow = :flow and status = 'parked' and parked_because = 'flood'
order by delivery_id
for update

-- name: release_flood
-- Only the newest version of a key goes, and only when nothing newer was born since.
with freed as (
    select delivery_id, not exists (
        select from outbox as newer
        where newer.flow = outbox.flow and newer.key = outbox.key and newer.version > outbox.version
    ) as is_newest
    from outbox
    where flow = :flow and status = 'parked' and parked_because = 'flood'
)
update outbox
set status = cast(case when is_newest then 'due' else 'replaced' end as delivery_status),
    due_at = now(),
    parked_because = case when is_newest then null else parked_because end,
    parked_by_run = null
from freed
where outbox.delivery_id = freed.delivery_id
returning is_newest

-- name: requeue
-- What is unknown stays unknown, so that it is looked up before it is sent again. The retry window begins anew.
with open as (
    select delivery_id, parked_because from outbox
    where status = 'parked'
      and (delivery_id = any(cast(:delivery_ids as bigint[])) or (flow = :flow and key = :key))
    order by delivery_id
    for update
), journal as (
    insert into attempts (delivery_id, started_at, result, reason)
    select delivery_id, now(), 'requeued', :reason from open
)
update outbox
set status = cast(case when open.parked_because = 'unknown' and not :is_absent then 'unknown' else 'due' end as delivery_status),
    due_at = now(), parked_because = null, parked_by_run = null, first_sent_at = null, leased_until = null
from open
where outbox.delivery_id = open.delivery_id

-- name: park_what_the_map_does_not_deliver
with idle as (
    select delivery_id from outbox
    where system = :system and status = 'due' and flow <> all(cast(:flows as text[]))
    order by delivery_id
    for update
)
update outbox
set status = 'parked', parked_because = 'shadow', parked_by_run = :run_id,
    last_error = 'the map has no flow of this name that is live'
from idle
where outbox.delivery_id = idle.delivery_id

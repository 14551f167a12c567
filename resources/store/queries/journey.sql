-- name: versions_of
select delivery_id, flow, system, key, version, action, reason, cast(status as text) as status,
       nullif(due_at, 'infinity') as due_at, attempts, last_error, parked_because, remote_id, caused_by_inbox_id, received_at, created_at, applied_at
from outbox
where entity = :entity and key = :key
order by created_at, delivery_id

-- name: attempts_of
select delivery_id, started_at, ended_at, result, reason, run_id
from attempts
where delivery_id = any(cast(:delivery_ids as bigint[]))
order by attempt_id

-- name: ledger_of
select ledger_id, kind, system, remote_id, field, value, flow, by_whom, happened_at
from ledger
where entity = :entity and key = :key
order by ledger_id

-- name: settled_at_of
-- When each message was first settled by a batch of this entity.
select told.inbox_id, min(settled_at) as settled_at
from unnest(cast(:inbox_ids as bigint[])) as told (inbox_id)
join batches on batches.entity = :entity and settled_at is not null and upto_inbox_id >= told.inbox_id
group by told.inbox_id

-- name: unsettled_about
-- Messages that no batch has settled yet and that seem to speak of the record.
select inbox_id, system, stream, arrived_by, remote_id, file_name, row_number, received_at
from inbox
where inbox_id > coalesce((select max(upto_inbox_id) from batches where entity = :entity and settled_at is not null), 0)
  and system || '/' || stream = any(cast(:streams as text[]))
  and (remote_id = any(cast(:remote_ids as text[])) or strpos(payload, :text) > 0)
order by inbox_id
limit 50

-- name: deliveries_named
select delivery_id, flow, key, version, cast(status as text) as status, parked_because
from outbox
where delivery_id = any(cast(:delivery_ids as bigint[]))

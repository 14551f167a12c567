-- name: start_snapshot
insert into snapshots (system, stream) values (:system, :stream) returning snapshot_id

-- name: point_at_messages
insert into snapshot_records (snapshot_id, remote_id, inbox_id)
select :snapshot_id, said.remote_id, told.inbox_id
from (
    select distinct on (remote_id) remote_id, body_hash
    from unnest(cast(:remote_ids as text[]), cast(:body_hashes as text[])) with ordinality as said (remote_id, body_hash, position)
    where remote_id is not null
    order by remote_id, position desc
) as said
cross join lateral (
    select inbox_id from inbox
    where inbox.system = :system and inbox.stream = :stream and inbox.remote_id = said.remote_id
      and inbox.body_hash = said.body_hash
    order by inbox_id desc
    limit 1
) as told
on conflict (snapshot_id, remote_id) do update set inbox_id = excluded.inbox_id

-- name: finish_snapshot
update snapshots
set finished_at = clock_timestamp(),
    records = (select count(*) from snapshot_records where snapshot_records.snapshot_id = :snapshot_id)
where snapshot_id = :snapshot_id
returning records

-- name: forget_old_snapshots
-- The two newest complete ones stay; a broken one goes with the next.
delete from snapshots
where system = :system and stream = :stream
  and snapshot_id not in (
      select snapshot_id from snapshots
      where system = :system and stream = :stream and finished_at is not null
      order by snapshot_id desc
      limit 2
  )

-- name: ask_repair
insert into ledger (entity, key, kind, flow, by_whom)
select :entity, key, 'repair', :flow, :by_whom from unnest(cast(:keys as text[])) as key

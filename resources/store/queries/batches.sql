-- name: last_settled
select upto_inbox_id, upto_ledger_id, fingerprint
from batches
where entity = :entity and settled_at is not null
order by batch_id desc
limit 1

-- name: newest_ids
select
    coalesce((select max(inbox_id) from inbox), 0) as inbox_id,
    coalesce((select max(ledger_id) from ledger), 0) as ledger_id

-- name: open_batch
insert into batches (entity, after_inbox_id, upto_inbox_id, after_ledger_id, upto_ledger_id, fingerprint, is_full)
values (:entity, :after_inbox_id, :upto_inbox_id, :after_ledger_id, :upto_ledger_id, :fingerprint, :is_full)
returning batch_id, opened_at

-- name: settle_batch
update batches set settled_at = clock_timestamp(), turns_at = :turns_at where batch_id = :batch_id

-- name: catalogue
select to_regclass('lake.ducklake_snapshot')::oid::bigint

-- name: flows_that_delivered
select distinct flow from outbox where entity = :entity

-- name: never_settled
select needed as entity from unnest(cast(:entities as text[])) as needed
where not exists (select from batches where entity = needed and settled_at is not null)
order by needed

-- name: was_ever_settled
select from batches where settled_at is not null limit 1

-- name: has_news
select
    exists (
        select from inbox
        where inbox_id > :after_inbox_id and inbox_id <= :upto_inbox_id
          and system || '/' || stream = any(:streams)
    ) or exists (
        select from ledger
        where ledger_id > :after_ledger_id and ledger_id <= :upto_ledger_id
          and (entity = :entity and kind <> 'held' or entity = :of and kind in ('linked', 'unlinked'))
    ) or exists (select from wakes where entity = :entity)
    or coalesce((
        select turns_at <= coalesce(cast(:moment as timestamptz), now()) from batches
        where entity = :entity and settled_at is not null
        order by batch_id desc
        limit 1
    ), false) as has_news

-- name: begin_epoch
-- From now on only this batch may commit.
insert into epochs (entity, batch_id) values (:entity, :batch_id)
on conflict (entity) do update set batch_id = greatest(epochs.batch_id, excluded.batch_id)

-- name: hold_epoch
-- Whether this batch is still the newest of its entity; others wait for the end of this transaction.
update epochs set batch_id = batch_id where entity = :entity and batch_id = :batch_id

-- name: newest_settled_table
select coalesce(max(batch_id), 0) from settled_tables

-- name: has_wakes
select exists (select from wakes where entity = :entity)

-- name: size_of_batch
-- How many messages a batch has and how many bytes they are, and the first that no longer fits into the least of both.
select count(*) as messages, coalesce(sum(bytes), 0)::bigint as bytes,
       min(inbox_id) filter (where place > :most or place > 1 and upto > :most_bytes) as first_beyond
from (
    select inbox_id, octet_length(payload) as bytes, row_number() over told as place,
           sum(octet_length(payload)) over told as upto
    from inbox
    where inbox_id > :after_inbox_id and inbox_id <= :upto_inbox_id and system || '/' || stream = any(:streams)
    window told as (order by inbox_id)
) as sized

-- name: rebuild_of
select fingerprint, batch_id, upto_inbox_id, upto_ledger_id, moment, turns, is_read,
       array(select turn from rebuilt_turns where rebuilt_turns.entity = rebuilds.entity order by turn) as settled
from rebuilds
where entity = :entity

-- name: begin_rebuild
insert into rebuilds (entity, fingerprint, batch_id, upto_inbox_id, upto_ledger_id, moment, turns)
values (:entity, :fingerprint, :batch_id, :upto_inbox_id, :upto_ledger_id, :moment, :turns)

-- name: rebuild_is_read
update rebuilds set is_read = true where entity = :entity

-- name: end_rebuild
delete from rebuilds where entity = :entity

-- name: all_links
-- The newest word on each remote record of an entity: for whoever reads all of them.
select distinct on (system, remote_id) system, remote_id, case when kind = 'linked' then key end as key
from ledger
where entity = :entity and kind in ('linked', 'unlinked') and ledger_id <= :upto_ledger_id
  and system is not null and remote_id is not null
order by system, remote_id, ledger_id desc

-- name: new_messages
-- The messages of an entity's next batch, the oldest first.
select inbox_id from inbox
where system || '/' || stream = any(:streams) and inbox_id > case when :is_full then 0 else coalesce((
    select upto_inbox_id from batches
    where entity = :entity and settled_at is not null
    order by batch_id desc limit 1
), 0) end
order by inbox_id

-- name: bound_batch
-- A rebuild that goes on with one that was killed settles up to where that one had read.
update batches set upto_inbox_id = :upto_inbox_id, upto_ledger_id = :upto_ledger_id where batch_id = :batch_id

-- name: set_aside
insert into set_aside (entity, inbox_id, fingerprint, stage, error)
values (:entity, :inbox_id, :fingerprint, :stage, :error)
on conflict do nothing

-- name: note_publication
insert into publications (name, batch_id, published_at)
select name, batch_id, cast(:moment as timestamptz)
from unnest(cast(:names as text[]), cast(:batch_ids as bigint[])) as published (name, batch_id)
on conflict (name) do update set batch_id = excluded.batch_id, published_at = excluded.published_at

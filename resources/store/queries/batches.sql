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

-- name: has_news
select
    exists (
        select 1 from inbox
        where inbox_id > :after_inbox_id and inbox_id <= :upto_inbox_id
          and system || '/' || stream = any(:streams)
    ) or exists (
        select 1 from ledger
        where ledger_id > :after_ledger_id and ledger_id <= :upto_ledger_id
          and (entity = :entity and kind <> 'held' or entity = :of and kind in ('linked', 'unlinked'))
    ) or exists (
        select 1 from batches
        where (entity = any(cast(:reads as text[])) or :entity = any(wakes)) and settled_at > (
            select opened_at from batches
            where entity = :entity and settled_at is not null
            order by batch_id desc
            limit 1
        )
    ) or (
        select turns_at <= coalesce(cast(:moment as timestamptz), now()) from batches
        where entity = :entity and settled_at is not null
        order by batch_id desc
        limit 1
    ) as has_news

-- name: is_woken
-- Whether what its records wait for, or are held against, was settled since the last settled batch began.
select exists (
    select 1 from batches
    where :entity = any(wakes) and settled_at > (
        select opened_at from batches
        where entity = :entity and settled_at is not null
        order by batch_id desc
        limit 1
    )
) as is_woken

-- name: is_unfinished
-- Whether a batch was opened after the last settled one: its build failed, or was killed.
select exists (
    select 1 from batches
    where entity = :entity and settled_at is null and batch_id > coalesce(
        (select max(batch_id) from batches where entity = :entity and settled_at is not null), 0
    )
) as goes_on

-- name: open_batch
insert into batches (entity, after_inbox_id, upto_inbox_id, after_ledger_id, upto_ledger_id, fingerprint, is_full)
values (:entity, :after_inbox_id, :upto_inbox_id, :after_ledger_id, :upto_ledger_id, :fingerprint, :is_full)
returning batch_id, opened_at

-- name: settle_batch
update batches set settled_at = clock_timestamp(), wakes = :wakes, turns_at = :turns_at where batch_id = :batch_id

-- name: catalogue
select to_regclass('lake.ducklake_snapshot')::oid::bigint

-- name: lake_tables
select table_name from lake.ducklake_table where end_snapshot is null

-- name: tables_of_many_files
select table_name
from lake.ducklake_table
where end_snapshot is null and :files <= (
    select count(*) from lake.ducklake_data_file as data
    where data.table_id = ducklake_table.table_id and data.end_snapshot is null
) + (
    select count(*) from lake.ducklake_delete_file as deleted
    where deleted.table_id = ducklake_table.table_id and deleted.end_snapshot is null
)

-- name: flows_that_delivered
select distinct flow from outbox where entity = :entity

-- name: never_settled
select needed as entity from unnest(cast(:entities as text[])) as needed
where not exists (select from batches where entity = needed and settled_at is not null)
order by needed

-- name: was_ever_settled
select from batches where settled_at is not null limit 1

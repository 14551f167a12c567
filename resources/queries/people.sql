-- name: write_ledger
insert into ledger (entity, key, kind, system, remote_id, field, value, by_whom)
values (:entity, :key, :kind, :system, :remote_id, :field, :value, :by_whom)

-- name: link_by_person
insert into links (entity, system, remote_id, key, made_by)
values (:entity, :system, :remote_id, :key, 'person')
on conflict do nothing

-- name: unlink_by_person
delete from links
where entity = :entity and system = :system and remote_id = :remote_id
returning key

-- name: link_of
select key, made_by, made_at from links
where entity = :entity and system = :system and remote_id = :remote_id

-- name: newest_decision
select kind, value, by_whom from ledger
where entity = :entity and key = :key and field = :field and kind in ('decided', 'revoked')
order by ledger_id desc
limit 1

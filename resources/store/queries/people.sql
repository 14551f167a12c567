-- name: write_ledger
insert into ledger (entity, key, kind, system, remote_id, field, value, flow, by_whom)
values (:entity, :key, :kind, :system, :remote_id, :field, :value, :flow, :by_whom)

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

-- name: link_by_match
with found as (
    select system, remote_id, key
    from unnest(cast(:systems as text[]), cast(:remote_ids as text[]), cast(:keys as text[])) as found (system, remote_id, key)
), before as (
    select links.system, links.remote_id, links.key
    from links
    join found using (system, remote_id)
    where links.entity = :entity
), linked as (
    insert into links (entity, system, remote_id, key, made_by)
    select :entity, system, remote_id, key, 'match' from found
    on conflict (entity, system, remote_id) do update set key = excluded.key, made_by = 'match', made_at = now()
    where links.made_by <> 'person' and links.key <> excluded.key
    returning system, remote_id, key
)
insert into ledger (entity, key, kind, system, remote_id, by_whom)
select :entity, told.key, told.kind, told.system, told.remote_id, 'match'
from (
    select before.key, 'unlinked' as kind, system, remote_id, 1 as place from before join linked using (system, remote_id)
    union all
    select key, 'linked', system, remote_id, 2 from linked
) as told
order by place

-- name: keep_what_is_new
insert into inbox (system, stream, arrived_by, remote_id, event_id, body_hash, is_versioned,
                   file_name, file_occurrence, row_number, payload, body)
select :system, stream, :arrived_by, remote_id, event_id, body_hash, is_versioned,
       file_name, file_occurrence, row_number, payload, body
from unnest(
    cast(:streams as text[]), cast(:remote_ids as text[]), cast(:event_ids as text[]), cast(:body_hashes as text[]),
    cast(:versioned as boolean[]), cast(:file_names as text[]), cast(:file_occurrences as text[]),
    cast(:row_numbers as int[]), cast(:payloads as text[]), cast(:bodies as bytea[])
) as said (stream, remote_id, event_id, body_hash, is_versioned,
           file_name, file_occurrence, row_number, payload, body)
on conflict do nothing

-- name: keep_what_differs
-- 5, 4, 5 are three messages: each is held against the one before it, not against all.
with said as (
    select *, lag(body_hash) over (partition by stream, remote_id order by position) as hash_before
    from unnest(
        cast(:streams as text[]), cast(:remote_ids as text[]), cast(:event_ids as text[]), cast(:body_hashes as text[]),
        cast(:versioned as boolean[]), cast(:file_names as text[]), cast(:file_occurrences as text[]),
        cast(:row_numbers as int[]), cast(:payloads as text[]), cast(:bodies as bytea[])
    ) with ordinality as said (stream, remote_id, event_id, body_hash, is_versioned,
                               file_name, file_occurrence, row_number, payload, body, position)
)
insert into inbox (system, stream, arrived_by, remote_id, event_id, body_hash, is_versioned,
                   file_name, file_occurrence, row_number, payload, body)
select :system, stream, :arrived_by, remote_id, event_id, body_hash, is_versioned,
       file_name, file_occurrence, row_number, payload, body
from said
left join lateral (
    select inbox.body_hash as last_hash from inbox
    where inbox.system = :system and inbox.stream = said.stream and inbox.remote_id = said.remote_id
    order by inbox_id desc limit 1
) as known on true
where body_hash is distinct from coalesce(hash_before, last_hash)
order by position

-- name: get_cursor
select cursor from cursors where system = :system and stream = :stream

-- name: set_cursor
insert into cursors (system, stream, cursor) values (:system, :stream, :cursor)
on conflict (system, stream) do update set cursor = excluded.cursor, polled_at = now()

-- name: keep_file
-- A file that could not be read may be read again once the map says rightly how it is written.
insert into files (system, stream, file_occurrence, file_name, size_bytes, messages, problem)
values (:system, :stream, :file_occurrence, :file_name, :size_bytes, :messages, :problem)
on conflict (system, stream, file_occurrence) do update
set messages = excluded.messages, problem = excluded.problem, taken_at = now()
where files.problem is not null

-- name: open_file_problems
-- Files that could not be read and that no later file of the same name has made good.
select file_name, file_occurrence, problem, taken_at from files
where system = :system and stream = :stream and problem is not null
  and not exists (
      select from files as later
      where later.system = files.system and later.stream = files.stream and later.file_name = files.file_name
        and later.problem is null and later.taken_at > files.taken_at
  )
order by taken_at, file_name

-- name: record_webhook_health
insert into webhook_health (minute, door, system, topic, outcome, answers, p50_ms, p95_ms, p99_ms, max_ms)
values (:minute, :door, :system, :topic, :outcome, :answers, :p50_ms, :p95_ms, :p99_ms, :max_ms)
on conflict do nothing

-- name: forget_webhook_health
delete from webhook_health where minute < now() - interval '90 days'

-- name: prove_commit
-- Keeps nothing, and is refused and waits as a post's commit is: it asks to insert, which a read-only server forbids, and
-- what it writes into the log must reach the disk.
with nothing as (insert into inbox (system) select '' where false)
select pg_logical_emit_message(true, 'concord', '')

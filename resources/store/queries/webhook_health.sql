-- name: record_webhook_health
insert into webhook_health (minute, door, system, topic, outcome, answers, p50_ms, p95_ms, p99_ms, max_ms)
values (:minute, :door, :system, :topic, :outcome, :answers, :p50_ms, :p95_ms, :p99_ms, :max_ms)
on conflict do nothing

-- name: forget_webhook_health
delete from webhook_health where minute < now() - interval '90 days'

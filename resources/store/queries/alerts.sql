-- name: raise_alerts
-- Once, until it is over; raised again, it tells the newest sentence.
insert into alerts (subject, kind, steward, sentence)
select subject, kind, steward, sentence
from unnest(
    cast(:subjects as text[]), cast(:kinds as text[]), cast(:stewards as text[]), cast(:sentences as text[])
) as told (subject, kind, steward, sentence)
on conflict (subject, kind) where over_at is null
do update set steward = excluded.steward, sentence = excluded.sentence

-- name: end_alerts
update alerts set over_at = now()
where over_at is null and subject = any(cast(:subjects as text[])) and kind = any(cast(:kinds as text[]))

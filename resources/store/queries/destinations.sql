-- name: know_destination
insert into destinations (system, tokens) values (:system, :tokens) on conflict do nothing

-- name: look_at_destination
-- Couriers of one destination take turns here, for the few milliseconds in which the allowance is counted.
select tokens, failures, last_error,
       extract(epoch from clock_timestamp() - refilled_at)::double precision as seconds_since_refill,
       extract(epoch from open_until - clock_timestamp())::double precision as seconds_closed_to_us
from destinations where system = :system
for update

-- name: spend_tokens
update destinations set tokens = :tokens, refilled_at = clock_timestamp() where system = :system

-- name: give_tokens_back
update destinations set tokens = tokens + :tokens where system = :system

-- name: let_one_batch_through
update destinations set open_until = clock_timestamp() + make_interval(secs => :seconds) where system = :system

-- name: nobody_went_through
update destinations set open_until = clock_timestamp() where system = :system

-- name: destination_answered
update destinations set failures = 0, open_until = null, last_error = null
where system = :system and (failures > 0 or open_until is not null)

-- name: destination_did_not_answer
-- The fifth time in a row opens the breaker; each further one doubles its time, up to a limit. A pause that the
-- destination asked for is kept. What was reserved for a trial is not: the trial is over.
update destinations
set failures = failures + 1,
    last_error = :reason,
    open_until = case when failures + 1 >= :breaks_at then
        clock_timestamp() + make_interval(secs => greatest(
            :retry_after, least(:longest, :shortest * power(2, least(failures + 1 - :breaks_at, 20)))
        ))
    else
        greatest(open_until, clock_timestamp() + make_interval(secs => :retry_after))
    end
where system = :system
returning failures, open_until

-- name: destination_asks_for_a_pause
update destinations
set open_until = greatest(open_until, clock_timestamp() + make_interval(secs => :seconds)), last_error = :reason
where system = :system

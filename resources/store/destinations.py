"""How much a destination bears and whether it answers at all, kept in the database, so that a restart resets neither."""

from dataclasses import dataclass

from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.store import Store, query

BREAKS_AT = 5  # times in a row that a destination may fail to answer before the breaker opens
SHORTEST_BREAK = 30.0  # seconds; doubles with each further failure
LONGEST_BREAK = 600.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a courier may do now."""

    granted: int  # deliveries that it may send
    wait: float = 0.0  # seconds until one more is allowed, where none is
    is_closed: bool = False  # the breaker is open, or the destination asked for a pause
    is_trial: bool = False  # the breaker was open: this one batch decides whether it closes
    reason: str | None = None  # what the destination last did wrong


def ask(store: Store, system: str, *, wanted: int, per_second: float | None, trial_seconds: float) -> Allowance:
    """Take up to `wanted` deliveries from the destination's allowance.

    The bucket holds one second's worth, so no second ever sees more than twice the limit. After a break one courier is
    let through, and nobody else for `trial_seconds`, which also frees the trial of a courier that died.
    """
    full = max(1.0, per_second or 1.0)
    with store.transaction() as connection:
        connection.execute(query("know_destination"), {"system": system, "tokens": full})
        seen = connection.execute(query("look_at_destination"), {"system": system}).mappings().one()
        closed_for = seen["seconds_closed_to_us"]
        if closed_for is not None and closed_for > 0:
            return Allowance(0, wait=closed_for, is_closed=True, reason=seen["last_error"])
        granted = wanted
        if per_second:
            tokens = min(full, seen["tokens"] + max(0.0, seen["seconds_since_refill"]) * per_second)
            granted = min(wanted, int(tokens))
            connection.execute(query("spend_tokens"), {"system": system, "tokens": tokens - granted})
            if not granted:
                return Allowance(0, wait=(1.0 - tokens) / per_second)
        is_trial = seen["failures"] >= BREAKS_AT
        if is_trial:
            connection.execute(query("let_one_batch_through"), {"system": system, "seconds": trial_seconds})
        return Allowance(granted, is_trial=is_trial, reason=seen["last_error"])


def give_back(
    store: Store, system: str, allowance: Allowance, *, unused: int, is_idle: bool, per_second: float | None
) -> None:
    """Return what was not sent; a trial in which the destination was not spoken to is still to be made."""
    if not ((per_second and unused) or (allowance.is_trial and is_idle)):
        return
    with store.transaction() as connection:
        if per_second and unused:
            connection.execute(query("give_tokens_back"), {"system": system, "tokens": unused})
        if allowance.is_trial and is_idle:
            connection.execute(query("nobody_went_through"), {"system": system})


def answered(store: Store, system: str) -> None:
    """The destination answered: the breaker closes."""
    with store.transaction() as connection:
        if connection.execute(query("destination_answered"), {"system": system}).rowcount:
            end_alerts(connection, [system], kinds=["unreachable"])


def did_not_answer(store: Store, system: str, *, steward: str, reason: str, retry_after: float | None) -> bool:
    """The destination did not answer; True when the breaker is now open, of which its steward is told."""
    values = {
        "system": system,
        "reason": reason,
        "retry_after": retry_after,
        "breaks_at": BREAKS_AT,
        "shortest": SHORTEST_BREAK,
        "longest": LONGEST_BREAK,
    }
    with store.transaction() as connection:
        connection.execute(query("know_destination"), {"system": system, "tokens": 1.0})
        now = connection.execute(query("destination_did_not_answer"), values).mappings().one()
        is_open = bool(now["failures"] >= BREAKS_AT)
        if is_open:
            sentence = (
                f"{system} has not answered {now['failures']} times in a row ({reason}). Nothing is lost: deliveries wait "
                f"and are tried again at {now['open_until']:%H:%M:%S} UTC. See that {system} runs and can be reached"
            )
            raise_alerts(connection, [Alert(system, "unreachable", steward, sentence)])
    return is_open


def pause(store: Store, system: str, *, seconds: float, reason: str) -> None:
    """The destination asked to be left alone for so long."""
    with store.transaction() as connection:
        connection.execute(query("know_destination"), {"system": system, "tokens": 1.0})
        connection.execute(
            query("destination_asks_for_a_pause"), {"system": system, "seconds": seconds, "reason": reason}
        )

"""What a courier does with the outbox: it claims a batch under a lease, and records what became of every delivery."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from resources.connectors.connector import Delivery, Outcome, Result
from resources.host.text import dump_payload
from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.store import Store, in_order, query

SHORTEST_WAIT = 2.0  # seconds before the first retry at most; doubles with every further one
LONGEST_WAIT = 900.0
LOOK_UP_AFTER = 5.0  # seconds: a destination that did not answer in time may still be at work
LOOK_UPS = 5  # that bring no answer before a person decides
RETRY_FOR = 86400.0  # seconds, for a flow whose map says nothing of failures

OWN_FIELD = "own field"  # how the journal calls what was stopped, because it would tell its destination what that owns

LOOKED_UP = {  # how the journal calls what a look-up brought
    Result.APPLIED: "found",
    Result.RETRY: "not found",
    Result.REFUSED: "refused",
    Result.UNKNOWN: "still unknown",
}


@dataclass(frozen=True, slots=True)
class FlowRule:
    """What the map says about a flow's deliveries."""

    tier: int
    is_latest: bool  # only the last word counts; else every version is delivered, in order
    retry_for: float  # seconds
    parks: bool  # when they are over; else its steward is told and it is tried on
    steward: str
    fallback: str | None = None  # what people do by hand meanwhile


@dataclass(frozen=True, slots=True)
class Parked:
    """A delivery that waits for a person, and the sentence that they read."""

    delivery_id: int
    flow: str
    key: str
    version: int
    because: str
    steward: str
    sentence: str
    is_news: bool  # or the version before it was kept from its destination by the same words


@dataclass(frozen=True, slots=True)
class Lag:
    """Seconds from the receipt of the message behind a delivery until the destination had applied it."""

    flow: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the deliveries of one batch are now."""

    applied: int
    retried: int
    unknown: int
    replaced: int
    parked: Sequence[Parked]
    lags: Sequence[Lag]


def claim(
    store: Store,
    system: str,
    *,
    limit: int,
    lease_seconds: float,
    courier: str,
    tiers: Mapping[str, int],
    to_look_up: bool = False,
    parked_by_run: str | None = None,
    tried: Collection[int] = (),
) -> list[Delivery]:
    """Lease up to `limit` deliveries of one flow and action to this courier; of each key only the oldest open version.

    Ordinary claims never take what is parked; with `parked_by_run` they take what that run parked, except `tried`.
    With `to_look_up` they take what may have been applied and must be asked for with `find`.
    """
    values = {"system": system, "limit": limit}
    with store.transaction() as connection:
        connection.execute(query("expire_leases"), {"system": system})
        if parked_by_run is not None:
            values |= {"parked_by_run": parked_by_run, "to_look_up": to_look_up, "tried": list(tried)}
            picked = connection.execute(query("pick_parked"), values).all()
        elif to_look_up:
            picked = connection.execute(query("pick_unknown"), values).all()
        else:
            order = {"tiered": list(tiers), "tiers": list(tiers.values())}
            first = connection.execute(query("next_due"), {"system": system, **order}).first()
            if first is None:
                return []
            values |= {"flow": first.flow, "action": first.action}
            picked = connection.execute(query("pick_due"), values).all()
        ids = [row.delivery_id for row in picked if (row.flow, row.action) == (picked[0].flow, picked[0].action)]
        if not ids:
            return []
        lease = {"courier": courier, "lease_seconds": lease_seconds, "to_look_up": to_look_up, "delivery_ids": ids}
        leased = [dict(row) for row in connection.execute(query("lease"), lease).mappings()]
    return sorted((_delivery(row) for row in leased), key=lambda delivery: delivery.delivery_id)


def extend(store: Store, *, courier: str, delivery_ids: Sequence[int], lease_seconds: float) -> int:
    """Lengthen this courier's leases; how many it still holds."""
    values = {"courier": courier, "delivery_ids": list(delivery_ids), "lease_seconds": lease_seconds}
    return store.execute("extend_leases", **values)


def record(
    store: Store,
    outcomes: Sequence[Outcome],
    *,
    rules: Mapping[str, FlowRule],
    courier: str,
    run_id: str,
    parked_by_run: str,
    started_at: datetime,
    looked_up: bool = False,
    words: Mapping[int, str] | None = None,
) -> Recorded:
    """Write what became of each delivery, with its attempt, its link, its ledger entries and its alert, at once.

    `outcomes` are of deliveries that this courier claimed. `words` overrides how the journal calls an outcome:
    "look-up failed" (the destination did not answer; no verdict), "cannot look up" (its connector has no such question),
    "own field" (it was not sent, for the destination owns what it carries).
    """
    if not outcomes:
        return Recorded(0, 0, 0, 0, [], [])
    told = {outcome.delivery_id: outcome for outcome in outcomes}
    ids = sorted(told)
    journal = [
        (words or {}).get(number) or (LOOKED_UP[told[number].result] if looked_up else str(told[number].result))
        for number in ids
    ]
    values = {
        "delivery_ids": ids,
        "results": journal,
        "reasons": [_reason(told[number]) for number in ids],
        "retry_afters": [told[number].retry_after for number in ids],
        "flows": list(rules),
        "retry_fors": [rule.retry_for for rule in rules.values()],
        "parks": [rule.parks for rule in rules.values()],
        "latests": [rule.is_latest for rule in rules.values()],
        "courier": courier,
        "run_id": run_id,
        "parked_by_run": parked_by_run,
        "started_at": started_at,
        "retry_for": RETRY_FOR,
        "shortest_wait": SHORTEST_WAIT,
        "longest_wait": LONGEST_WAIT,
        "look_ups": LOOK_UPS,
        "look_up_after": LOOK_UP_AFTER,
    }
    with store.transaction() as connection:
        connection.execute(query("stop_told"), {"delivery_ids": ids})
        now = [dict(row) for row in connection.execute(query("record_outcomes"), values).mappings()]
        is_redone = parked_by_run != run_id  # whoever has it tried again is told in any case
        parked = [_parked(row, rules, parked_by_run, is_redone=is_redone) for row in now if row["status"] == "parked"]
        overdue = [_overdue(row, rules) for row in now if row["is_overdue"] and row["status"] == "due"]
        raise_alerts(connection, [_alert(told_of, "parked") for told_of in parked] + overdue)
        over = [f"{row['flow']}/{row['key']}" for row in now if row["status"] in ("applied", "replaced")]
        end_alerts(connection, over, kinds=["parked", "overdue"])
        _keep_books(connection, [row for row in now if row["status"] == "applied"], told, rules)
    counts = {word: sum(row["status"] == word for row in now) for word in ("applied", "due", "unknown", "replaced")}
    lags = [Lag(row["flow"], row["lag_seconds"]) for row in now if row["lag_seconds"] is not None]
    return Recorded(counts["applied"], counts["due"], counts["unknown"], counts["replaced"], parked, lags)


def systems_with_due(store: Store) -> list[str]:
    """The destinations for which a courier would find something to do now, and whose breaker is closed."""
    return [row["system"] for row in store.rows("systems_with_due")]


def _delivery(row: Mapping[str, Any]) -> Delivery:
    return Delivery(
        delivery_id=row["delivery_id"],
        flow=row["flow"],
        entity=row["entity"],
        key=row["key"],
        version=row["version"],
        action=row["action"],
        payload=json.loads(row["payload"], parse_int=str, parse_float=str),  # no digit is lost on the way out either
        remote_id=row["remote_id"],
        idempotency_key=f"{row['flow']}/{row['key']}/{row['version']}",
    )


def _reason(outcome: Outcome) -> str | None:
    if outcome.result is Result.APPLIED:
        return outcome.reason
    return outcome.reason or "the connector gave no reason"


def _steward(flow: str, rules: Mapping[str, FlowRule]) -> str:
    return rules[flow].steward if flow in rules else "nobody: the map has no such flow"


def _meanwhile(flow: str, rules: Mapping[str, FlowRule]) -> str:
    fallback = rules[flow].fallback if flow in rules else None
    return f". Meanwhile: {fallback}" if fallback else ""


def _parked(row: Mapping[str, Any], rules: Mapping[str, FlowRule], run: str, *, is_redone: bool) -> Parked:
    what = f"{row['flow']}: {row['action']} of {row['key']} (version {row['version']})"
    system = row["system"]
    sentence = {
        "refused": f"{what} was refused by {system}: {row['told']}. Correct it at its source, and a new version follows "
        f"by itself; or correct it there and re-execute run {run[:8]}",
        "gave up": f"{what} could not be applied by {system} for too long: {row['told']}. See that {system} takes it, "
        f"then re-execute run {run[:8]}",
        "unknown": f"{what} was sent to {system}, and nobody can tell whether it was applied: {row['told']}. Look for it "
        f"in {system}, then re-execute run {run[:8]}, which looks it up again before it sends it",
        OWN_FIELD: f"{what} was not sent to {system}: {row['told']}. Find who wrote it (a flow of "
        f"map/entities/{row['entity']}.yaml, a model or a person) and take the field out; the version without it leaves by itself",
    }[row["parked_because"]]
    return Parked(
        delivery_id=row["delivery_id"],
        flow=row["flow"],
        key=row["key"],
        version=row["version"],
        because=row["parked_because"],
        steward=_steward(row["flow"], rules),
        sentence=sentence + _meanwhile(row["flow"], rules),
        is_news=is_redone or row["is_news"],
    )


def _alert(parked: Parked, kind: str) -> Alert:
    return Alert(f"{parked.flow}/{parked.key}", kind, parked.steward, parked.sentence)


def _overdue(row: Mapping[str, Any], rules: Mapping[str, FlowRule]) -> Alert:
    sentence = (
        f"{row['flow']}: {row['action']} of {row['key']} (version {row['version']}) has not been applied by "
        f"{row['system']} for longer than the map allows, and is tried on: {row['told']}"
    )
    subject = f"{row['flow']}/{row['key']}"
    return Alert(subject, "overdue", _steward(row["flow"], rules), sentence + _meanwhile(row["flow"], rules))


def _keep_books(
    connection: sa.Connection,
    applied: Sequence[Mapping[str, Any]],
    told: Mapping[int, Outcome],
    rules: Mapping[str, FlowRule],
) -> None:
    """Links and ledger of what was applied. The ledger comes last, for its turn is held until the commit."""
    if not applied:
        return
    linkable = [  # a record of which the destination itself had told was not made by us
        row
        for row in applied
        if row["action"] == "upsert" and told[row["delivery_id"]].remote_id not in (None, row["remote_id"])
    ]
    links = {
        "entities": [row["entity"] for row in linkable],
        "systems": [row["system"] for row in linkable],
        "remote_ids": [told[row["delivery_id"]].remote_id for row in linkable],
        "keys": [row["key"] for row in linkable],
    }
    entries = []
    if linkable:
        flows = {(row["entity"], row["key"]): row["flow"] for row in linkable}
        for link in connection.execute(query("link_applied"), links):
            flow = flows[link.entity, link.key]
            entries.append((link.entity, link.key, "linked", link.system, link.remote_id, None, flow))
        others = connection.execute(query("links_of_others"), links).all()
        raise_alerts(
            connection,
            [
                Alert(
                    f"{flows[other.entity, other.key]}/{other.key}",
                    "link",
                    _steward(flows[other.entity, other.key], rules),
                    f"{other.system} says that it keeps {other.entity} {other.key} as {other.remote_id}, which is linked "
                    f"to {other.linked_key}. Decide which of the two it is",
                )
                for other in others
            ],
        )
    for row in applied:
        outcome = told[row["delivery_id"]]
        value = row["payload"]
        if outcome.held:  # what it says that it holds counts more than what we sent
            value = dump_payload({**json.loads(value, parse_int=str, parse_float=str), **outcome.held})
        entries.append((row["entity"], row["key"], "delivered", row["system"], outcome.remote_id, value, row["flow"]))
    names = ("entities", "keys", "kinds", "systems", "remote_ids", "values", "flows")
    columns: dict[str, list[Any]] = {
        name: list(column) for name, column in zip(names, zip(*entries, strict=True), strict=True)
    }
    in_order(connection)
    connection.execute(query("ledger_applied"), columns | {"by_whom": ["courier"] * len(entries)})

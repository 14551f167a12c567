"""One record's journey, told from what stands in the books: messages, verdicts, who set each field, deliveries, proofs.

Provenance is computed and not stored: the record's staging rows are read again by the rules of its canonical model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb

from pipelines.compiler.entity import Facts
from pipelines.compiler.generate import environment
from pipelines.compiler.reconciliation import NOT_WRONG
from pipelines.compiler.sql import listed
from pipelines.language.schema import IntegrationMap
from pipelines.operations.search import keys_of
from resources.host import settings
from resources.lake import lake
from resources.lake.macros import spell
from resources.store.store import Store

Row = dict[str, Any]
History = Callable[[duckdb.DuckDBPyConnection, Store, IntegrationMap, str, str], None]
OPEN = ("due", "sending", "unknown")


class NotFound(Exception):
    """No record goes by that name. The message says where was looked, and what to do."""


class Ambiguous(Exception):
    """Several records go by that name. The message lists their keys."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the record."""

    at: datetime
    kind: str  # message, ledger, version, attempt, parcel, reconciliation
    what: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldStory:
    """A field's value and the word by which it stands."""

    field: str
    value: Any
    set_by: str | None  # system/stream, or a person
    inbox_id: int | None
    said_at: datetime | None
    owners: tuple[str, ...]
    flag: str | None = None  # why its owner's newest word was not taken


@dataclass(frozen=True, slots=True)
class Owed:
    """Who owes the next step, and which."""

    steward: str
    sentence: str


@dataclass(slots=True)
class Journey:
    """Everything that is known about one record's way through the systems."""

    entity: str
    key: str
    origin: str | None = None
    links: dict[str, str] = field(default_factory=dict)  # system -> remote id
    fields: list[FieldStory] = field(default_factory=list)
    children: dict[str, list[Row]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    wanted: list[Row] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)


class Teller:
    """Reads one record's journey from the warehouse and the database."""

    def __init__(self, db: duckdb.DuckDBPyConnection, store: Store, the_map: IntegrationMap, entity: str) -> None:
        self.db, self.store, self.the_map = db, store, the_map
        self.facts = Facts(the_map, the_map.entities[entity])
        self.entity = entity
        key = self.facts.key
        self.key_sql = key[0] if len(key) == 1 else f"concat_ws('|', {', '.join(key)})"

    def rows(self, sql: str, **values: Any) -> list[Row]:
        """Ask the warehouse; nothing where a model was never built."""
        try:
            cursor = self.db.execute(sql, values)
        except duckdb.CatalogException:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def ask(self, template: str, *, names: Sequence[str] = (), fields: Sequence[str] = (), **values: Any) -> list[Row]:
        """Ask the warehouse with one of our templates."""
        text = environment().get_template(template).render(e=self.facts, names=names, fields=fields)
        return self.rows(spell(text), **values)

    def key_of(self, name: str) -> str:
        """The key of the one record that goes by this name. Raises NotFound or Ambiguous."""
        numbers = self.facts.numbers
        keys = keys_of(self.store, self.facts, numbers, name)
        if name in keys:
            return name
        if len(keys) > 1:
            raise Ambiguous(f"several {self.entity} go by {name!r}: {', '.join(keys)}; name one of these keys")
        if keys:
            return str(keys[0])
        if self.store.rows("ledger_of", entity=self.entity, key=name) or self._unsettled(name, []):
            return name
        raise NotFound(
            f"none of the {self.entity} goes by {name!r}: it is no key, no number and no system's id, and no message "
            "that still waits speaks of it; see that its system has sent it (`concord status`)"
        )

    def tell(self, key: str) -> Journey:
        """The whole journey of the record with that key."""
        journey = Journey(self.entity, key)
        inbound = [name for name, told in self.facts.fields.items() if "us" not in told.owner]
        messages = self.ask("journey_messages.sql", fields=inbound, key=key) if self.facts.sources else []
        record = next(iter(self.rows(f"select * from {self.entity} where {self.key_sql} = $key", key=key)), None)
        ledger = self.store.rows("ledger_of", entity=self.entity, key=key)
        versions = self.store.rows("versions_of", entity=self.entity, key=key)
        journey.origin = next((m["origin_system"] for m in messages), None)
        journey.links = _links(ledger)
        journey.wanted = self.rows(
            f"select flow, system, is_wanted, held_because, asked from wanted_{self.entity} where {self.key_sql} = $key", key=key
        )  # fmt: skip
        journey.fields = self._fields(record, messages, ledger)
        journey.children = {child.name: self._children(child, key) for child in self.facts.children}
        unsettled = self._unsettled(key, [m["remote_id"] for m in messages if m["remote_id"]])
        differences = self._differences(key)
        parcels = self._referring(key)
        journey.events = sorted(
            [
                *self._message_events(messages),
                *(_unsettled_event(row) for row in unsettled),
                *(_ledger_event(row) for row in ledger if row["kind"] not in ("delivered", "held")),
                *self._delivery_events(versions),
                *parcels,
                *(_difference_event(row) for row in differences),
            ],
            key=lambda event: event.at,
        )
        journey.owed = self._owed(journey, record, messages, unsettled, versions, differences)
        return journey

    def _fields(self, record: Row | None, messages: list[Row], ledger: list[Row]) -> list[FieldStory]:
        if record is None:
            return []
        winners = {name: message for message in messages for name in message["fields"] or ()}
        decided: dict[str, Row] = {}
        for row in ledger:
            if row["kind"] == "decided":
                decided[row["field"]] = row
            elif row["kind"] == "revoked":
                decided.pop(row["field"], None)
        flags = dict(flag.split(" ", 1) for flag in record.get("flags") or [])
        told = []
        for name, declared in self.facts.fields.items():
            person, message = decided.get(name), winners.get(name)
            told.append(
                FieldStory(
                    field=name,
                    value=record.get(name),
                    set_by=person["by_whom"] if person else _sender(message),
                    inbox_id=message["inbox_id"] if message and not person else None,
                    said_at=person["happened_at"] if person else (message or {}).get("occurred_at"),
                    owners=tuple(declared.owner),
                    flag=flags.get(name),
                )
            )
        return told

    def _children(self, child: Facts, key: str) -> list[Row]:
        """The record's lines as they stand; those that went carry removed_at."""
        line = next(name for name in child.key if name not in self.facts.key)
        names = [line, *child.fields, "removed_at"]
        return self.rows(
            f"select {', '.join(names)} from {child.name} where {self.key_sql} = $key order by position, {line}", key=key
        )  # fmt: skip

    def _unsettled(self, name: str, remote_ids: list[str]) -> list[Row]:
        values = {"streams": self.facts.stream_names, "remote_ids": [name, *remote_ids], "text": name}
        return self.store.rows("unsettled_about", entity=self.entity, **values)

    def _differences(self, key: str) -> list[Row]:
        if not self.facts.entity.reconcile:
            return []
        return self.rows(f"select * from reconcile_{self.entity} where {self.key_sql} = $key", key=key)

    def _referring(self, key: str) -> list[Event]:
        """What other records that name this one tell: the parcels of an order."""
        events = []
        for other in self.the_map.roots:
            for name, declared in other.fields.items():
                if declared.references == self.entity:
                    for row in self.rows(f"select * from {other.entity} where {name} = $key", key=key):
                        events += self._other(Facts(self.the_map, other), row)
        return events

    def _other(self, facts: Facts, row: Row) -> list[Event]:
        key = "|".join(str(row[name]) for name in facts.key)
        told = [f"{name} {row[name]}" for name in facts.fields if row.get(name) is not None and name not in facts.key]
        details = [", ".join(told)]
        for child in facts.children:
            where = " and ".join(f"{name} = $k{n}" for n, name in enumerate(facts.key))
            lines = self.rows(
                f"select * from {child.name} where {where} and removed_at is null order by position",
                **{f"k{n}": row[name] for n, name in enumerate(facts.key)},
            )
            details += [_line(child, line) for line in lines]
        at = next((row[name] for name in ("shipped_at", "changed_at", "last_received_at") if row.get(name)), None)
        first = Event(at, "parcel", f"{facts.name} {key}", tuple(details)) if at else None
        versions = self.store.rows("versions_of", entity=facts.name, key=key)
        return [*([first] if first else []), *self._delivery_events(versions)]

    def _message_events(self, messages: list[Row]) -> list[Event]:
        ids = [message["inbox_id"] for message in messages]
        settled = {
            row["inbox_id"]: row["settled_at"]
            for row in self.store.rows("settled_at_of", entity=self.entity, inbox_ids=ids)
        }
        return [_message_event(message, settled.get(message["inbox_id"])) for message in messages]

    def _delivery_events(self, versions: list[Row]) -> list[Event]:
        events = [_version_event(row) for row in versions]
        named = {row["delivery_id"]: row for row in versions}
        for row in self.store.rows("attempts_of", delivery_ids=list(named)):
            version = named[row["delivery_id"]]
            took = (row["ended_at"] - row["started_at"]).total_seconds()
            what = f"{version['flow']} v{version['version']} to {version['system']}: {row['result']} ({took:.1f} s)"
            events.append(Event(row["ended_at"], "attempt", what, (row["reason"],) if row["reason"] else ()))
        return events

    # -- who owes the next step --------------------------------------------------------------------------------------

    def _owed(
        self,
        journey: Journey,
        record: Row | None,
        messages: list[Row],
        unsettled: list[Row],
        versions: list[Row],
        differences: list[Row],
    ) -> list[Owed]:
        owed: list[Owed] = []
        stewards = {name: system.steward for name, system in self.the_map.systems.items()}
        if record is None or record.get("rejected_since"):
            for message in [m for m in messages if m["is_rejected"]][-1:]:
                reason = (
                    f"message {message['inbox_id']} of {message['system']} could not be taken: {message['reasons'][0]}"
                )
                step = f"mend the record in {message['system']} and it sends the message again, or correct the map"
                owed.append(Owed(stewards[message["system"]], f"{reason}; {step}"))
        for story in journey.fields:
            if story.flag:
                system = story.set_by.split("/")[0] if story.set_by else self.facts.owners(story.field)[0]
                sentence = f"{story.field} {story.flag}, so its last good value stays; mend it in {system}"
                owed.append(Owed(stewards.get(system, self.facts.steward), sentence))
        for row in self._broken_rules(journey.key):
            owed.append(Owed(row["steward"], f"{row['reason']}; {row['next_step']}"))
        flows = self.the_map.flows
        for row in journey.wanted:
            if row["is_wanted"] and row["held_because"]:
                sentence = f"{row['flow']} holds it back: {row['held_because']}"
                owed.append(Owed(flows[row["flow"]][1].steward, sentence))
        for version in versions:
            flow = flows[version["flow"]][1] if version["flow"] in flows else None
            owed += _owed_by_delivery(version, flow.steward if flow else self.facts.steward)
        for row in differences:
            if row["kind"] not in NOT_WRONG:
                owed.append(Owed(row["steward"], f"{row['reconciliation']}: {_difference(row)}; {row['repair']}"))
        if unsettled:
            owed.append(Owed("Concord", f"{len(unsettled)} messages wait for the next run of sync_{self.entity}"))
        if not owed and not journey.wanted and record is None:
            owed.append(Owed(self.facts.steward, f"nothing that can be taken was ever said about this {self.entity}"))
        return owed

    def _broken_rules(self, key: str) -> list[Row]:
        """What the record as it stands breaks, but for fields that were not taken."""
        fields = listed(self.facts.fields)
        return self.rows(
            f"select reason, steward, next_step from {self.entity}_flags "
            f"where key = $key and (severity = 'warn' or regexp_extract(reason, '^\\w+') not in ({fields})) order by all",
            key=key,
        )


def tell(store: Store, the_map: IntegrationMap, entity: str, name: str, show_history: History) -> Journey:
    """The journey of the record that goes by this name: key, number or remote id. Raises NotFound or Ambiguous.

    Only the newest words are kept: `show_history` lets the warehouse see all that was said about the record.
    """
    with lake.reading(store.url, settings.lake()) as db:
        teller = Teller(db, store, the_map, entity)
        key = teller.key_of(name)
        show_history(db, store, the_map, entity, key)
        return teller.tell(key)


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def _links(ledger: list[Row]) -> dict[str, str]:
    links: dict[str, str] = {}
    for row in ledger:
        if row["kind"] == "linked":
            links[row["system"]] = row["remote_id"]
        elif row["kind"] == "unlinked":
            links.pop(row["system"], None)
    return links


def _sender(message: Row | None) -> str | None:
    return f"{message['system']}/{message['stream']}" if message else None


def _message_event(row: Row, settled_at: datetime | None) -> Event:
    how = {"webhook": "by webhook", "poll": "when polled", "file": "in a file", "snapshot": "in a snapshot"}
    where = f" {row['file_name']} row {row['row_number']}" if row["file_name"] else ""
    deletion = "deletes it" if row["is_deletion"] else "tells it"
    late = (row["received_at"] - row["occurred_at"]).total_seconds() if row["occurred_at"] else 0.0
    details = [f"received {row['received_at']:%Y-%m-%d %H:%M:%S}, {in_words(late)} after it happened"]
    if settled_at:
        details[0] += f"; settled {settled_at:%H:%M:%S}"
    verdict = row["verdict"] or "not judged yet"
    fields = sorted(row["fields"] or ())
    details.append(
        f"{verdict}{': sets ' + ', '.join(fields) if fields else ''}{' (our own echo)' if row['is_ours'] else ''}"
    )
    details += [f"says {row['says']}"] if row.get("says") else []
    details += [f"reason: {reason}" for reason in row["reasons"] or ()]
    details += [f"warning: {warning}" for warning in row["warnings"] or ()]
    what = f"{row['system']}/{row['stream']} {deletion} {how[row['arrived_by']]}{where} (message {row['inbox_id']})"
    return Event(row["occurred_at"] or row["received_at"], "message", what, tuple(details))


def _unsettled_event(row: Row) -> Event:
    what = f"{row['system']}/{row['stream']} came by {row['arrived_by']} (message {row['inbox_id']})"
    return Event(row["received_at"], "message", what, ("kept, and not settled yet",))


def _ledger_event(row: Row) -> Event:
    told = {
        "linked": f"linked to {row['system']} {row['remote_id']}",
        "unlinked": f"unlinked from {row['system']} {row['remote_id']}",
        "decided": f"{row['field']} decided to be {row['value']!r}",
        "revoked": f"the decision about {row['field']} revoked",
        "restore": f"{row['system']} is to be told again: it was changed there",
        "repair": f"{row['flow'] or 'every flow'} is asked to deliver it again",
    }
    return Event(row["happened_at"], "ledger", f"{told[row['kind']]}, by {row['by_whom']}")


def _version_event(row: Row) -> Event:
    what = f"{row['flow']} v{row['version']} is born: {row['action']} to {row['system']} ({row['reason']})"
    state = row["status"]
    if state == "parked":
        state += f", {row['parked_because']}"
    if row["applied_at"] and row["reason"] != "already held":
        state += f" at {row['applied_at']:%H:%M:%S}"
        if row["received_at"]:
            state += (
                f", {(row['applied_at'] - row['received_at']).total_seconds():.1f} s after its message was received"
            )
    details = [f"delivery {row['delivery_id']}: {state}"]
    return Event(row["created_at"], "version", what, tuple(details))


def _difference(row: Row) -> str:
    which = f" in {row['field']}: {row['one_value']} and {row['other_value']}" if row["field"] else ""
    return f"{row['one_side']} and {row['other_side']}: {row['kind']}{which}"


def _difference_event(row: Row) -> Event:
    at = row["looked_at"] or row["since"]
    return Event(at, "reconciliation", f"{row['reconciliation']} looked: {_difference(row)}", (row["repair"],))


def _line(child: Facts, row: Row) -> str:
    return ", ".join(f"{name} {row[name]}" for name in child.fields if row.get(name) is not None)


def _owed_by_delivery(version: Row, steward: str) -> list[Owed]:
    """What a version that has not arrived asks for."""
    name = f"{version['flow']} v{version['version']} (delivery {version['delivery_id']})"
    if version["status"] == "parked":
        because = version["parked_because"]
        next_step = {
            "flood": f"look at what changed, then `concord release {version['flow']}`",
            "shadow": "the flow is not live: say so in the map when it shall be",
            "foreign writes": f"find out who changes it in {version['system']}, then `concord retry {version['delivery_id']}`",
        }.get(because, f"correct it, then `concord retry {version['delivery_id']}`")
        reason = f": {version['last_error']}" if version["last_error"] else ""
        return [Owed(steward, f"{name} is parked ({because}){reason}; {next_step}")]
    if version["status"] in OPEN and version["due_at"]:
        error = f"; {version['last_error']}" if version["last_error"] else ""
        word = "is looked up" if version["status"] == "unknown" else "is sent"
        return [Owed("Concord", f"{name} {word} at {version['due_at']:%H:%M:%S} UTC or later{error}")]
    return []

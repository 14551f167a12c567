"""Traffic that the map does not know: each told once, with a steward and a next step, and ended when it is known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from resources.store.store import query


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the map does not know."""

    system: str
    stream: str  # empty where no stream took it
    kind: str  # field, writer, topic, file, stream
    what: str
    steward: str
    next_step: str
    messages: int
    example: str | None = None
    first_inbox_id: int | None = None
    last_inbox_id: int | None = None
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that a stream no longer keeps, and the sentence that its steward reads."""

    system: str
    stream: str
    path: str
    sentence: str


@dataclass(slots=True)
class Looked:
    """What one look found: all that is broken now, and every open finding, newly told or not."""

    messages: int = 0
    broken: list[Broken] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)


def keep_findings(connection: sa.Connection, findings: Sequence[Finding]) -> None:
    """Tell what is not told yet, and count what is."""
    if findings:
        columns = {
            "systems": "system", "streams": "stream", "kinds": "kind", "whats": "what", "stewards": "steward",
            "next_steps": "next_step", "examples": "example", "messages": "messages", "firsts": "first_inbox_id",
            "lasts": "last_inbox_id", "firsts_at": "first_seen_at", "lasts_at": "last_seen_at",
        }  # fmt: skip
        told = {name: [getattr(one, attribute) for one in findings] for name, attribute in columns.items()}
        connection.execute(query("keep_findings"), told)


def end_findings(
    connection: sa.Connection, kinds: Sequence[str], still: Iterable[str], *, system: str, stream: str
) -> None:
    """End the open findings of these kinds that are none any more."""
    values = {"kinds": list(kinds), "system": system, "stream": stream, "whats": list(still)}
    connection.execute(query("end_findings"), values)


def sentence_of(finding: Mapping[str, Any]) -> str:
    """A finding in one sentence: what, since when, and what to do."""
    said = {
        "field": "carries a field that the map does not read: {what} ({example})",
        "writer": "was written by one whom the map does not know: {what}",
        "topic": "posted a webhook topic that no stream of the map names: {what}; the door refused it",
        "file": "dropped files that no stream of the map takes: {what}",
        "stream": "has messages of a stream that the map does not have: {what}; nobody settles them",
    }[finding["kind"]].format(**finding)
    where = "/".join(part for part in (finding["system"], finding["stream"]) if part)
    counted = (
        f"{finding['messages']} {'file' if finding['kind'] == 'file' else 'message'}{'s' * (finding['messages'] != 1)}"
    )
    first = f", first in message {finding['first_inbox_id']}" if finding["first_inbox_id"] else ""
    return (
        f"{where} {said} ({counted}{first}, since {finding['first_seen_at']:%Y-%m-%d %H:%M} UTC). "
        f"{finding['steward']} answers: {finding['next_step']}"
    )

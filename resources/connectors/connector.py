"""What Concord asks of every outside system, and the few shapes that pass between them."""

import re
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

import dagster as dg

SECRET = re.compile("password|secret|token|key")  # in the name of a setting


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that a system said about one record.

    `payload` is JSON text in which every number is a string (see `resources.host.text.as_payload`), so no digit is lost;
    `body` is what arrived, byte for byte.
    """

    stream: str
    payload: str
    body: bytes
    remote_id: str | None = None  # the record's id in the sending system; None when only the map can read it
    event_id: str | None = None  # the sender's own id of this event, the same on every redelivery
    is_versioned: bool = False  # the body carries a version or a time, so an equal body is a redelivery
    file_name: str | None = None
    file_occurrence: str | None = None  # hash of path and content: the same name with new content is new
    row_number: int | None = None  # where in the file it began, counted from 1


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file of which every message is handed out, or which could not be read."""

    name: str
    occurrence: str  # hash of path and content
    size_bytes: int
    messages: int
    problem: str | None = None  # why the file as a whole could not be read, in one sentence


@dataclass(frozen=True, slots=True)
class Page:
    """A page of messages and the cursor that stands after it; the page and its cursor are committed together."""

    messages: Sequence[Message]
    cursor: str | None = None
    is_last: bool = False  # in a snapshot: True on the last page proves that it is complete
    file: TakenFile | None = None  # the file that ends with this page


@dataclass(frozen=True, slots=True)
class Delivery:
    """One version of one record on its way to one destination."""

    delivery_id: int
    flow: str
    entity: str
    key: str
    version: int
    action: str  # upsert, cancel, archive, delete
    payload: Mapping[str, Any]  # money and quantities as text
    remote_id: str | None  # the record's id at the destination, where a link is known
    idempotency_key: str  # flow/key/version


class Result(StrEnum):
    APPLIED = "applied"  # the destination confirmed it
    REFUSED = "refused"  # the destination will never take it as it is: a person must act
    RETRY = "retry"  # not applied, and worth another try
    UNKNOWN = "unknown"  # no answer: it may or may not have been applied


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery."""

    delivery_id: int
    result: Result
    remote_id: str | None = None
    reason: str | None = None  # one sentence for a person; required unless applied
    retry_after: float | None = None  # seconds, where the destination said so
    held: Mapping[str, Any] = field(default_factory=dict)  # what the destination now holds, where it said so

    @classmethod
    def refused(cls, delivery: Delivery, reason: str) -> Self:
        """The destination does not take this delivery as it is."""
        return cls(delivery.delivery_id, Result.REFUSED, reason=reason)


class BadSignature(Exception):
    """The message is not signed with a secret that we share with its sender."""


class BadMessage(Exception):
    """The message cannot be read as what its sender says it is."""


class Unreachable(Exception):
    """The system did not answer, or answered that it cannot serve now."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class BatchRefused(Exception):
    """The destination refused the batch as a whole, and applied none of it."""


class Connector(dg.ConfigurableResource, ABC):
    """A system that can be read or written. A connector implements the questions that its system can answer.

    It knows nothing of owners, rules or flows, and never writes to another system by itself.
    """

    one_of: ClassVar[Sequence[Sequence[str]]] = ()  # groups of settings of which one must be given, and whole

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Settings as they may be shown: a secret's name without its value."""
        for name, value in super().__repr_args__():
            yield name, "..." if value and SECRET.search(name or "") else value

    def has_changed(self, stream: str, cursor: str | None) -> bool:
        """Whether asking `changed_since(stream, cursor)` would bring anything; cheap. Raises Unreachable."""
        return any(page.messages for page in self.changed_since(stream, cursor))

    def changed_since(self, stream: str, cursor: str | None) -> Iterator[Page]:
        """Pages of what changed at or after the cursor (None: from the beginning). Raises Unreachable."""
        raise NotImplementedError(f"{type(self).__name__} cannot be polled")

    def read_webhook(self, topic: str, headers: Mapping[str, str], body: bytes) -> Sequence[Message]:
        """Verify a webhook posted to this topic's address and read it. Raises BadSignature or BadMessage."""
        raise NotImplementedError(f"{type(self).__name__} sends no webhooks")

    def is_signed(self, topic: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the system itself posted this, whatever the topic: then a topic that nobody takes is told of."""
        return False

    def snapshot(self, stream: str) -> Iterator[Page]:
        """Everything that the system holds now; complete only when the last page says `is_last`."""
        raise NotImplementedError(f"{type(self).__name__} gives no snapshots")

    def unclaimed(self) -> Sequence[str]:
        """Names of what lies there for us and no stream takes. Raises Unreachable."""
        return ()

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Apply a batch of one flow and answer for every delivery. Safe to call again after UNKNOWN was looked up."""
        raise NotImplementedError(f"{type(self).__name__} takes no deliveries")

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Answer "did it arrive?": APPLIED or RETRY (it did not) for each; UNKNOWN where that cannot be told."""
        raise NotImplementedError(f"{type(self).__name__} cannot look deliveries up")


def one_by_one_where_needed(
    deliveries: Sequence[Delivery], send: Callable[[Sequence[Delivery]], Sequence[Outcome]]
) -> list[Outcome]:
    """Send a batch that the destination takes or refuses as a whole; halve a refused one until the bad record stands alone.

    `send` answers for every delivery, or raises `BatchRefused`.
    """
    if not deliveries:
        return []
    try:
        return list(send(deliveries))
    except BatchRefused as refused:
        if len(deliveries) == 1:
            return [Outcome(deliveries[0].delivery_id, Result.REFUSED, reason=str(refused))]
        middle = len(deliveries) // 2
        return one_by_one_where_needed(deliveries[:middle], send) + one_by_one_where_needed(deliveries[middle:], send)


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds: sorts as text in the order of time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

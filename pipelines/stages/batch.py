"""One run's share of what was said, and what a sync made of it."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from resources.store.outbox import EnqueueReport

T = TypeVar("T")

PROJECT = Path(__file__).parents[2] / "dbt_project"


class BuildFailed(Exception):
    """A model could not be built. The message names the model and DuckDB's reason."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A run's share of the inbox and the ledger: after is exclusive, upto inclusive."""

    batch_id: int
    after_inbox_id: int
    upto_inbox_id: int
    after_ledger_id: int
    upto_ledger_id: int
    is_full: bool
    is_woken: bool  # what its records wait for, or are held against, has changed
    moment: datetime  # at which time-bound records are looked at
    has_more: bool = False  # messages that came later and did not fit
    turns: int = 1  # in which it is settled, a share of its keys in each


@dataclass(frozen=True, slots=True)
class Built:
    """One dbt node that ran: its name, status and seconds."""

    name: str
    status: str
    seconds: float
    message: str = ""


@dataclass(slots=True)
class Settled:
    """What one sync did."""

    entity: str
    batch: Batch | None = None  # None: there was nothing new
    built: list[Built] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)  # of the batch's own messages
    heard: dict[tuple[str, str], int] = field(default_factory=dict)  # new messages by (system, stream)
    touched: int = 0  # records
    rows: dict[str, int] = field(default_factory=dict)  # of each kept table, as they stand now
    enqueued: EnqueueReport | None = None
    seconds: float = 0.0
    has_more: bool = False  # messages are left for another batch

    def followed_by(self, other: "Settled") -> "Settled":
        """Both as one: what two batches, one after the other, came to."""
        if other.batch is None or self.batch is None:
            return replace(self, has_more=False)
        batch = replace(
            other.batch, after_inbox_id=self.batch.after_inbox_id, after_ledger_id=self.batch.after_ledger_id,
            is_full=self.batch.is_full or other.batch.is_full,
        )  # fmt: skip
        return Settled(
            entity=self.entity,
            batch=batch,
            built=other.built,
            verdicts=_added(self.verdicts, other.verdicts),
            heard=_added(self.heard, other.heard),
            touched=self.touched + other.touched,
            rows=other.rows,
            enqueued=_joined(self.enqueued, other.enqueued),
            seconds=self.seconds + other.seconds,
            has_more=other.has_more,
        )


def _added(one: dict[T, int], other: dict[T, int]) -> dict[T, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


def _joined(one: EnqueueReport | None, other: EnqueueReport | None) -> EnqueueReport | None:
    if one is None or other is None:
        return one or other
    return EnqueueReport(
        births=[*one.births, *other.births],
        held=[*one.held, *other.held],
        floods=[*one.floods, *other.floods],
        replaced=one.replaced + other.replaced,
    )

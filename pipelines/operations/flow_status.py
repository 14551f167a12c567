"""How every flow does: what it received, what became of it, and how long it took, for the live line and `concord status`."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from pipelines.language.schema import Flow, IntegrationMap
from resources.store.store import Store
from resources.store.troubles import reason_of, sentence_of

LOOK_EVERY = 2.0  # seconds between two counts of the flows


@dataclass(frozen=True, slots=True)
class Figures:
    """One flow in numbers. Of a flow that comes in, messages are counted; of one that goes out, deliveries."""

    flow: str
    entity: str
    is_outbound: bool
    received: int
    applied: int
    superseded: int  # older than what is known already, or not theirs to say
    quarantined: int
    pending: int  # not settled or not sent yet, or waiting for another record
    parked: int
    p50: float | None  # seconds from received to applied, of the newest 200 in the last hour
    p95: float | None
    promise: int  # seconds
    steward: str

    @property
    def is_late(self) -> bool:
        """Whether the flow breaks its promise."""
        return self.p95 is not None and self.p95 > self.promise


class FlowFigures:
    """Counts the flows again and again; messages that were counted are not read twice."""

    def __init__(self, store: Store, the_map: IntegrationMap) -> None:
        self.store = store
        self.the_map = the_map
        self.messages: Counter[tuple[str, str]] = Counter()
        self.upto_inbox_id = 0
        self.verdicts: dict[str, Counter[tuple[str, str, str]]] = {}  # entity -> (system, stream, verdict) -> messages

    def look(self) -> list[Figures]:
        """The figures of every flow, now. Raises sqlalchemy.exc.OperationalError when the database does not answer."""
        for row in self.store.rows("count_messages", after_inbox_id=self.upto_inbox_id):
            self.messages[row["system"], row["stream"]] += row["messages"]
            self.upto_inbox_id = max(self.upto_inbox_id, row["upto_inbox_id"])
        self._count_verdicts()
        deliveries = {row["flow"]: row for row in self.store.rows("count_deliveries")}
        found = []
        for name, (entity, flow) in self.the_map.flows.items():
            if flow.to:
                found.append(self._outbound(name, entity.entity, flow, deliveries.get(name, {})))
            else:
                found.append(self._inbound(name, entity.entity, flow, self.verdicts.get(entity.entity, Counter())))
        return sorted(found, key=lambda one: one.is_outbound)

    def _count_verdicts(self) -> None:
        """Read the counts that syncs keep of their verdicts."""
        entities = [root.entity for root in self.the_map.roots if self.the_map.says(root.entity)]
        counted: dict[str, Counter[tuple[str, str, str]]] = {entity: Counter() for entity in entities}
        for row in self.store.rows("verdict_counts", entities=entities):
            counted[row["entity"]][row["system"], row["stream"], row["verdict"]] = row["messages"]
        self.verdicts = counted

    def _inbound(self, name: str, entity: str, flow: Flow, verdicts: Counter[tuple[str, str, str]]) -> Figures:
        senders = {system.system for system in self.the_map.systems_named(flow.from_ or "")}
        streams = [
            (system.system, stream) for system, stream, _, _ in self.the_map.says(entity) if system.system in senders
        ]
        count = {
            verdict: sum(verdicts[system, stream, verdict] for system, stream in streams)
            for verdict in ("applied", "superseded", "ignored", "quarantined", "pending")
        }
        received = sum(self.messages[stream] for stream in streams)
        unsettled = max(0, received - sum(count.values()))
        lags = self.store.one(
            "settle_lags",
            entity=entity,
            systems=[system for system, _ in streams],
            streams=[stream for _, stream in streams],
        )
        return Figures(
            flow=name,
            entity=entity,
            is_outbound=False,
            received=received,
            applied=count["applied"],
            superseded=count["superseded"] + count["ignored"],
            quarantined=count["quarantined"],
            pending=count["pending"] + unsettled,
            parked=0,
            p50=lags["p50"] if lags else None,
            p95=lags["p95"] if lags else None,
            promise=flow.max_lag,
            steward=flow.steward,
        )

    def _outbound(self, name: str, entity: str, flow: Flow, told: dict[str, int]) -> Figures:
        lags = self.store.one("delivery_lags", flow=name)
        return Figures(
            flow=name,
            entity=entity,
            is_outbound=True,
            received=told.get("born", 0),
            applied=told.get("applied", 0),
            superseded=max(
                0, told.get("born", 0) - sum(told.get(n, 0) for n in ("applied", "waiting", "held", "parked"))
            ),
            quarantined=told.get("held", 0),
            pending=told.get("waiting", 0),
            parked=told.get("parked", 0),
            p50=lags["p50"] if lags else None,
            p95=lags["p95"] if lags else None,
            promise=flow.max_lag,
            steward=flow.steward,
        )


class Watch:
    """Counts the flows in the background, so that a slow database never keeps the supervisor from its work."""

    def __init__(self, figures: FlowFigures, since: datetime, entity: str, systems: Sequence[str]) -> None:
        self.figures = figures
        self.since = since
        self.first = {"entity": entity, "systems": list(systems), "since": since}
        self.latest: list[Figures] = []
        self.trouble: str | None = None
        self.first_applied_after: float | None = None
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._go, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ends.set()
        self._thread.join(5)

    def _go(self) -> None:
        looked_at = -LOOK_EVERY
        while not self._ends.wait(0.3):
            try:
                if self.first_applied_after is None:
                    self._look_for_the_first(self.figures.store)
                if time.monotonic() - looked_at >= LOOK_EVERY:
                    self.latest = self.figures.look()
                    looked_at = time.monotonic()
                self.trouble = None
            except Exception as problem:  # noqa: BLE001  whatever it is, it is told, and looked at again
                self.trouble = f"the flows cannot be counted now: {sentence_of(problem) or reason_of(problem)}"

    def _look_for_the_first(self, store: Store) -> None:
        row = store.one("first_applied", **self.first)
        if row and row["applied_at"]:
            self.first_applied_after = (row["applied_at"] - self.since).total_seconds()


def table_of(figures: Sequence[Figures]) -> Table:
    """A row per flow."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("flow", no_wrap=True)
    for column in ("received", "applied", "superseded", "quarantined", "pending", "parked", "p50", "p95", "promise"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in figures:
        arrow = "→" if one.is_outbound else "←"
        table.add_row(
            f"{arrow} {escape(one.flow)}",
            str(one.received),
            str(one.applied),
            _if_any(one.superseded, "dim"),
            _if_any(one.quarantined, "yellow"),
            _if_any(one.pending, "cyan"),
            _if_any(one.parked, "red"),
            _lag(one.p50),
            f"[red]{_lag(one.p95)}[/]" if one.is_late else _lag(one.p95),
            _in_words(one.promise),
        )
    return table


def plain(one: Figures) -> str:
    """The same row as one line of words."""
    return (
        f"{one.flow}: received {one.received}, applied {one.applied}, superseded {one.superseded}, "
        f"quarantined {one.quarantined}, pending {one.pending}, parked {one.parked}, "
        f"lag p50 {_lag(one.p50)} p95 {_lag(one.p95)} (promised {_in_words(one.promise)})"
    )


def _if_any(count: int, style: str) -> str:
    return f"[{style}]{count}[/]" if count else "[dim]0[/]"


def _lag(seconds: float | None) -> str:
    return "-" if seconds is None else _in_words(seconds)


def _in_words(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s".replace(".0 s", " s")

"""How every flow does: what it received, what became of it, and how long it took, for the live line and `concord status`."""

from collections import Counter
from dataclasses import dataclass

import duckdb

from pipelines.map_schema import Flow, IntegrationMap
from resources import lake, settings
from resources.store import Store


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

    def look(self) -> list[Figures]:
        """The figures of every flow, now. Raises sqlalchemy.exc.OperationalError when the database does not answer."""
        for row in self.store.rows("count_messages", after_inbox_id=self.upto_inbox_id):
            self.messages[row["system"], row["stream"]] += row["messages"]
            self.upto_inbox_id = max(self.upto_inbox_id, row["upto_inbox_id"])
        verdicts = self._verdicts()
        deliveries = {row["flow"]: row for row in self.store.rows("count_deliveries")}
        found = []
        for name, (entity, flow) in self.the_map.flows.items():
            if flow.to:
                found.append(self._outbound(name, entity.entity, flow, deliveries.get(name, {})))
            else:
                found.append(self._inbound(name, entity.entity, flow, verdicts.get(entity.entity, Counter())))
        return sorted(found, key=lambda one: one.is_outbound)

    def _verdicts(self) -> dict[str, Counter[tuple[str, str, str]]]:
        """By entity: how many messages of (system, stream) have which verdict."""
        told: dict[str, Counter[tuple[str, str, str]]] = {}
        entities = [root.entity for root in self.the_map.roots if self.the_map.says(root.entity)]
        try:
            with lake.reading(self.store.url, settings.lake()) as db:
                for entity in entities:
                    try:
                        rows = db.execute(
                            f"select system, stream, verdict, count(*) from {entity}_verdicts group by all"
                        ).fetchall()
                    except duckdb.CatalogException:
                        continue  # it was never settled yet
                    told[entity] = Counter({(system, stream, verdict): n for system, stream, verdict, n in rows})
        except (lake.LakeProblem, duckdb.Error):
            return told  # no one has made the warehouse yet
        return told

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

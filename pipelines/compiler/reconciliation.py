"""What the template of reconciliations asks about one proof of the map: its sides, when each was seen, and what follows."""

import re
from dataclasses import dataclass

from pipelines.compiler.sql import quoted
from pipelines.language.schema import Entity, IntegrationMap

NOT_WRONG = ("late", "ignored")  # differences within their promise, and those that a person leaves alone for a while


def can_be_asked(the_map: IntegrationMap, entity: str) -> set[str]:
    """The systems that tell an entity as a whole when they are looked at."""
    return {system.system for system, _, stream, _ in the_map.says(entity) if stream.arrives.snapshot}


def looks(the_map: IntegrationMap, entity: str) -> list[tuple[str, str]]:
    """(system, stream) of every snapshot that the entity's reconciliations compare."""
    sides = {name for proof in the_map.entities[entity].reconcile.values() for name in proof.between}
    systems = {system.system for name in sides for system in the_map.systems_named(name)}
    return [
        (system.system, name)
        for system, name, stream, _ in the_map.says(entity)
        if system.system in systems and stream.arrives.snapshot
    ]


@dataclass(frozen=True)
class Side:
    """One side of a reconciliation."""

    name: str
    systems: list[str]
    is_us: bool


@dataclass(frozen=True)
class Proof:
    """One reconciliation, as its template sees it."""

    the_map: IntegrationMap
    entity: Entity
    name: str

    @property
    def told(self):
        return self.entity.reconcile[self.name]

    @property
    def fields(self) -> dict[str, float | str]:
        return self.told.fields

    @property
    def each(self) -> Entity | None:
        """The child of which each row is compared, instead of the record."""
        return self.the_map.entities[self.told.each] if self.told.each else None

    @property
    def when(self) -> str | None:
        return self.told.when

    @property
    def steward(self) -> str:
        return self.told.steward

    @property
    def within(self) -> int:
        """Seconds in which a difference is late, not wrong: the map's word, or the slowest promise of a flow between."""
        lags = [flow.max_lag for flow in self.entity.flows.values() if flow.to]
        return self.told.within or max(lags, default=0)

    @property
    def sides(self) -> list[Side]:
        return [
            Side("us" if name == "us" else name, [s.system for s in self.the_map.systems_named(name)], name == "us")
            for name in self.told.between
        ]

    @property
    def destinations(self) -> list[str]:
        return [system for side in self.sides for system in side.systems]

    def look_at(self, side: Side) -> str:
        """When the side was last seen as a whole, as SQL; null until each of its systems was."""
        systems = [name for name in side.systems if name in can_be_asked(self.the_map, self.entity.entity)]
        if side.is_us or not systems:
            return "{{ moment() }}"
        names = ", ".join(f"'{name}'" for name in systems)
        return f"(select if(count(*) = {len(systems)}, min(looked_at), null) from looks where system in ({names}))"

    def flow_to(self, side: Side) -> str | None:
        """The flow that brings records to a side; of several, one that carries what is compared."""
        flows = [
            name
            for name, flow in self.entity.flows.items()
            if {system.system for system in self.the_map.destinations(self.entity, flow)} & set(side.systems)
            and (self.told.each is None or self.told.each in flow.with_)
        ]
        return next((name for name in flows if self._carries_some(name)), flows[0] if flows else None)

    def _carries_some(self, flow: str) -> bool:
        """Whether the flow carries any of the fields that are compared."""
        return self.told.each is not None or bool(self.fields.keys() & set(self.entity.flows[flow].fields))

    @property
    def flow_to_one(self) -> str | None:
        return self.flow_to(self.sides[0])

    @property
    def flow_to_other(self) -> str | None:
        return self.flow_to(self.sides[1])

    @property
    def mending(self) -> str | None:
        """The flow that ends a difference in what is compared, if one carries it."""
        found = self.flow_to_other or self.flow_to_one
        return found if found and self._carries_some(found) else None

    @property
    def brought_here(self) -> str | None:
        """The flow that may end what the first side lacks, where the map says what a person does when it does not want to."""
        return self.flow_to_one if self.by_hand("missing here") else None

    def repair_by(self, flow: str | None, kind: str, holds: str = "holds") -> str:
        """What a person does about a difference of that kind, which this flow would end if it wants the record, as SQL."""
        by_hand = self.by_hand(kind)
        if flow is None:
            fields = f"{' or '.join(self.fields)} of " if kind == "differs" and self.fields else ""
            return by_hand or quoted(f"correct it by hand: no flow brings {fields}{self.entity.entity} there")
        repair = f"'concord repair {flow} ' || {self.name}.{self.entity.key[0]}"
        if by_hand:  # a repair of what the flow does not want would bring nothing
            repair = f"if(coalesce({holds}.is_wanted, false), {repair}, {by_hand})"
        return f"coalesce('held: ' || {holds}.held_because, {repair})"

    def by_hand(self, kind: str) -> str | None:
        """What the map says that a person does about a difference of that kind, as SQL."""
        told = {str(name): sentence for name, sentence in self.told.by_hand.items()}.get(kind)
        key = f"' || {self.name}.{self.entity.key[0]} || '"
        return quoted(told).replace("{key}", key) if told else None

    def ours(self, field: str) -> str:
        """What of our field the other side should hold: itself, or what the flow between shows in its place."""
        flows = [name for side in self.sides if not side.is_us and (name := self.flow_to(side))]
        return next(
            (self.entity.flows[name].shows[field] for name in flows if field in self.entity.flows[name].shows), field
        )

    @property
    def gone(self) -> str | None:
        return self.told.gone

    def when_of(self, table: str) -> str:
        """Which of our records the other side should hold, in the columns of that table."""
        return self._of(table, self.when or "true")

    def gone_of(self, table: str) -> str:
        """Which of our records no side should hold any longer, in the columns of that table."""
        return f"({table}.deleted_at is not null or coalesce({self._of(table, self.gone or 'false')}, false))"

    def _of(self, table: str, condition: str) -> str:
        names = "|".join(self.entity.fields)
        return re.sub(rf"\b({names})\b", rf"{table}.\1", condition)

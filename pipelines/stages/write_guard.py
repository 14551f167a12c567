"""The write guard: no delivery carries a field to its own owner, whatever the map, the models or a person's hand say."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.language.ownership import Owns, owns
from pipelines.language.schema import Entity, IntegrationMap, System
from resources.connectors.connector import Delivery
from resources.lake.records import columns_of, rows_of
from resources.store.store import Store


@dataclass(frozen=True, slots=True)
class Carried:
    """A field of an entity that a delivery carries, and of which records its destination owns it."""

    entity: str
    field: str
    owns: Owns


@dataclass(frozen=True)
class WriteGuard:
    """The last gate before a destination."""

    the_map: IntegrationMap
    system: System
    store: Store

    def refused(self, batch: Sequence[Delivery]) -> dict[int, str]:
        """Those deliveries that must not leave, each with the reason. Raises LakeProblem."""
        carried = {delivery.delivery_id: list(self._carried(delivery)) for delivery in batch}
        asks = [one for one in batch if any(found.owns == "its own records" for found in carried[one.delivery_id])]
        origins = self._origins(asks)
        rows = [one for one in batch if any(found.owns == "its own rows" for found in carried[one.delivery_id])]
        tellers = self._tellers(rows)
        reasons = {}
        for delivery in batch:
            if not self._entities(delivery):
                reasons[delivery.delivery_id] = (
                    f"the map knows neither the flow {delivery.flow} nor {delivery.entity}, so nobody can tell who owns "
                    "what it carries"
                )
                continue
            mine = [one for one in carried[delivery.delivery_id] if self._is_mine(one, delivery, origins)]
            mine += self._own_rows(carried[delivery.delivery_id], delivery, tellers)
            if mine:
                names = ", ".join(dict.fromkeys(f"{one.entity}.{one.field}" for one in mine))
                reasons[delivery.delivery_id] = f"it carries {names}, which {self.system.system} itself owns"
        return reasons

    def _entities(self, delivery: Delivery) -> list[Entity]:
        """What the delivery may speak of: the entity of its flow, and the one that its row names."""
        flow = self.the_map.flows.get(delivery.flow)
        named = self.the_map.entities.get(delivery.entity)
        found = {entity.entity: entity for entity in (flow and flow[0], named) if entity}
        return list(found.values())

    def _carried(self, delivery: Delivery) -> Iterator[Carried]:
        """The fields that the payload carries, at any depth, and that the destination owns of some record."""
        told: Any = delivery.payload  # what a hand wrote into the outbox may be no object
        top = told if isinstance(told, Mapping) else {"": told}
        for entity in self._entities(delivery):
            children = self.the_map.children(entity.entity)
            yield from self._owned([entity], top)
            for name, value in top.items():
                inner = children if name == "lines" else [entity, *children]
                yield from self._owned(inner, _keys_inside(value))

    def _owned(self, entities: Sequence[Entity], keys: Iterable[str]) -> Iterator[Carried]:
        for key in keys:
            for entity in entities:
                field = entity.fields.get(key)
                if field is not None and (how := owns(self.the_map, entity, field, self.system)) != "never":
                    yield Carried(entity.entity, key, how)

    def _is_mine(self, carried: Carried, delivery: Delivery, origins: Mapping[tuple[str, str], list[str]]) -> bool:
        """Whether the destination owns the field of this record; where the record is not known, it may."""
        if carried.owns == "its own rows":
            return False  # asked row by row
        if carried.owns == "its own records":
            began_in = origins.get((self._root_of(carried.entity), delivery.key))
            return began_in is None or self.system.system in began_in
        if carried.owns == "its own locations":
            parts = dict(zip(self.the_map.entities[carried.entity].key, delivery.key.split("|"), strict=False))
            return parts.get("location") is None or parts["location"] in self.system.locations
        return True

    def _origins(self, batch: Sequence[Delivery]) -> dict[tuple[str, str], list[str]]:
        """In which system each of these records began, at all and among the destination's role, by entity and key."""
        keys: dict[str, list[str]] = {}
        for delivery in batch:
            for entity in self._entities(delivery):
                keys.setdefault(self._root_of(entity.entity), []).append(delivery.key)
        found: dict[tuple[str, str], list[str]] = {}
        for name, asked in keys.items():
            key, standing = self.the_map.entities[name].key, columns_of(self.store, name)
            began = [one for one in ("origin_system", f"origin_among_{self.system.role}") if one in standing]
            if began:  # else it was never settled, or has no origin
                rows = rows_of(self.store, name, [*key, *began], key, asked)
                found |= {(name, "|".join(row[: len(key)])): list(row[len(key) :]) for row in rows}
        return found

    def _own_rows(
        self, carried: Sequence[Carried], delivery: Delivery, tellers: Mapping[tuple[str, str, str], str]
    ) -> list[Carried]:
        """What of rows that have a teller each the destination itself tells; of a row that is not known, it may."""
        told = delivery.payload.get("lines") if isinstance(delivery.payload, Mapping) else None
        lines = [line for line in told if isinstance(line, Mapping)] if isinstance(told, list) else []
        found = []
        for one in carried:
            if one.owns == "its own rows":
                part = self.the_map.entities[one.entity].key[-1]
                rows = [str(line.get(part)) for line in lines if one.field in line] or [""]
                me = self.system.system
                if any(tellers.get((one.entity, delivery.key, row), me) == me for row in rows):
                    found.append(one)
        return found

    def _tellers(self, batch: Sequence[Delivery]) -> dict[tuple[str, str, str], str]:
        """Who tells each row that hangs on these records, by entity, record and the last part of the row's key."""
        roots = {self._root_of(entity.entity) for one in batch for entity in self._entities(one)}
        named = [child for root in sorted(roots) for child in self.the_map.children(root) if child.has_tellers]
        if not named or not batch:
            return {}
        keys = [one.key for one in batch]
        return {
            (child.entity, record, part): teller
            for child in named
            for record, part, teller in rows_of(
                self.store, child.entity, [child.key[0], child.key[-1], "told_by"], child.key[:1], keys
            )
        }

    def _root_of(self, entity: str) -> str:
        return self.the_map.entities[entity].parent or entity


def _keys_inside(value: Any) -> Iterator[str]:
    """Every key at any depth of what JSON holds."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _keys_inside(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _keys_inside(inner)

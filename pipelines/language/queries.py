"""Where in the map something stands, which flows rest on it, and the questions that several lint rules ask."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import get_args

from pipelines.language.schema import (
    BusinessProof,
    Entity,
    EntityField,
    Flow,
    IntegrationMap,
    Reconciliation,
    Role,
    Says,
    Stream,
    System,
)

ROLES = get_args(Role)


@dataclass(frozen=True, slots=True)
class Place:
    """A key of a map file, and the flows that cannot be firm while something is wrong there."""

    file: str
    key: str
    flows: frozenset[str]


def at_system(told: IntegrationMap, system: System, key: str, entity: str | None = None) -> Place:
    """A key of a system's file; the flows are those of the entities that it speaks of or takes, or of that one."""
    spoken = {spoken for stream in system.streams.values() for spoken in stream.says} | set(system.takes)
    touched = {name for spoken in (spoken if entity is None else [entity]) for name in flows_of(told, spoken)}
    return Place(
        file=f"map/systems/{system.system}.yaml",
        key=key,
        flows=frozenset(name for name in touched if _rests_on(told, told.flows[name][1], system)),
    )


def at_entity(told: IntegrationMap, entity: Entity, key: str) -> Place:
    """A key of an entity's file that all its flows rest on, and the flows of what is computed from it."""
    return Place(f"map/entities/{entity.entity}.yaml", key, frozenset(flows_of(told, entity.entity)))


def at_field(told: IntegrationMap, entity: Entity, field: str, key: str) -> Place:
    """A key of a field; the flows are those that bring it or carry it."""
    place = at_entity(told, entity, f"fields.{field}.{key}")
    return replace(place, flows=frozenset(name for name in place.flows if _has(told, name, entity, field)))


def at_proof(entity: Entity, key: str) -> Place:
    """A key on which the proof of an entity's deliveries rests."""
    delivering = frozenset(name for name, flow in entity.flows.items() if flow.to is not None)
    return Place(f"map/entities/{entity.entity}.yaml", key, delivering)


def at_flow(entity: Entity, name: str, key: str) -> Place:
    """A key of one flow."""
    return Place(f"map/entities/{entity.entity}.yaml", f"flows.{name}.{key}", frozenset([name]))


def flows_of(told: IntegrationMap, name: str) -> set[str]:
    """The flows of an entity's family, and of every entity that is computed from it."""
    if name not in told.entities:
        return set()
    family = {member.entity for member in told.family(root_of(told, name))}
    readers = {entity.entity for entity in told.entities.values() if family & set(entity.reads)}
    return {flow for member in family | readers for flow in told.entities[member].flows}


def _rests_on(told: IntegrationMap, flow: Flow, system: System) -> bool:
    """An inbound flow rests on its senders; an outbound one on everybody who speaks of its entity."""
    return flow.from_ is None or system in told.systems_named(flow.from_)


def _has(told: IntegrationMap, name: str, entity: Entity, field: str) -> bool:
    owner, flow = told.flows[name]
    return owner is not entity or flow.to is None or field in flow.fields


def root_of(told: IntegrationMap, name: str) -> str:
    """The entity with which this one is settled: its parent, or itself."""
    parent = told.entities[name].parent
    return parent if parent in told.entities else name


# Walks


def every_field(told: IntegrationMap) -> Iterator[tuple[Entity, str, EntityField]]:
    for entity in told.entities.values():
        for name, field in entity.fields.items():
            yield entity, name, field


def every_stream(told: IntegrationMap) -> Iterator[tuple[System, str, Stream]]:
    for system in told.systems.values():
        for name, stream in system.streams.items():
            yield system, name, stream


def every_saying(told: IntegrationMap) -> Iterator[tuple[System, str, Stream, Entity, Says]]:
    """How each stream spells each entity that the map knows."""
    for system, name, stream in every_stream(told):
        for entity, says in stream.says.items():
            if entity in told.entities:
                for part in says.parts(stream.remote_id):
                    yield system, name, stream, told.entities[entity], part


def every_flow(told: IntegrationMap) -> Iterator[tuple[Entity, str, Flow]]:
    for entity in told.entities.values():
        for name, flow in entity.flows.items():
            yield entity, name, flow


def outbound(told: IntegrationMap) -> Iterator[tuple[Entity, str, Flow]]:
    return (found for found in every_flow(told) if found[2].to is not None)


def every_reconciliation(told: IntegrationMap) -> Iterator[tuple[Entity, str, Reconciliation]]:
    for entity in told.entities.values():
        for name, reconciliation in entity.reconcile.items():
            yield entity, name, reconciliation


def compared(told: IntegrationMap, entity: Entity, reconciliation: Reconciliation) -> Entity:
    """The entity whose fields a reconciliation compares: a child of which it takes each row, or the record itself."""
    return told.entities.get(reconciliation.each or "", entity)


def every_business_proof(told: IntegrationMap) -> Iterator[tuple[Entity, str, BusinessProof]]:
    for entity in told.entities.values():
        for name, proof in entity.proofs.items():
            yield entity, name, proof


# Questions


def joined(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))


def perhaps(name: str, options: Iterable[str]) -> str:
    """A guess at what was meant."""
    near = get_close_matches(name, list(options), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def advice_on(told: IntegrationMap, name: str) -> str:
    """What to do about a name that is neither a system nor the role of one."""
    if name in ROLES:
        return f"no system has the role {name}; add map/systems/<name>.yaml with `role: {name}`"
    options = {*told.systems, *(system.role for system in told.systems.values())}
    return f"{name!r} is neither a system nor a role{perhaps(name, options)}; name one of {joined(options)}"


def speaks_of(system: System, entity: str) -> bool:
    return any(entity in stream.says for stream in system.streams.values())


def spells(system: System, entity: str, field: str) -> bool:
    return any(
        field in part.fields
        for stream in system.streams.values()
        if entity in stream.says
        for part in stream.says[entity].parts()
    )


def owners_of(told: IntegrationMap, entity: Entity, owner: str) -> list[System]:
    """The systems that an owner's word may come from; for `location` every system that owns one."""
    if owner == "location":
        return [system for system in told.systems.values() if system.locations and speaks_of(system, entity.entity)]
    return told.systems_named(owner)


def originates(told: IntegrationMap, entity: str, stream: Stream) -> bool:
    """Whether records may begin in the stream; children begin with their parent."""
    says = stream.says.get(root_of(told, entity))
    return entity in stream.says and says is not None and says.originates.strip().lower() != "false"


def senders_of(told: IntegrationMap, entity: Entity, flow: Flow) -> list[str]:
    """The systems whose records the flow brings or carries."""
    if flow.from_ is not None:
        return sorted(one.system for one in told.systems_named(flow.from_) if speaks_of(one, entity.entity))
    sources = entity.reads if entity.model else [entity.entity]
    known = [source for source in sources if source in told.entities]
    return sorted(
        {
            system.system
            for system, _, stream in every_stream(told)
            for source in known
            if originates(told, source, stream)
        }
    )


def path_of(told: IntegrationMap, entity: Entity, flow: Flow) -> str:
    """The way of a flow in words: shopify, wholesale -> us -> tryton."""
    ends = [joined(one.system for one in told.destinations(entity, flow)) or flow.to] if flow.to else []
    return " -> ".join([joined(senders_of(told, entity, flow)) or "nobody", "us", *ends])


def files_of(systems: list[System]) -> str:
    return " or ".join(f"map/systems/{system.system}.yaml" for system in systems)


def no_field(entity: Entity, field: str) -> str:
    return (
        f"{entity.entity} has no field {field!r}{perhaps(field, entity.fields)}; mend its spelling, or add it to "
        f"map/entities/{entity.entity}.yaml"
    )

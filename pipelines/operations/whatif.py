"""What the replacement of a system would touch, read from the map: flows, fields, streams, words, proofs and stewards."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pipelines.language.queries import (
    ROLES,
    every_field,
    every_flow,
    every_reconciliation,
    joined,
    owners_of,
    path_of,
    perhaps,
    senders_of,
    speaks_of,
)
from pipelines.language.schema import Arrives, Entity, IntegrationMap, System, cron_in_words, spelled

NAME = re.compile(r"[a-z][a-z0-9_]*")
NO_LIBRARY: Mapping[str, System] = MappingProxyType({})


class NoReplacement(Exception):
    """The systems of a replacement cannot be these. The message says which they can be."""


@dataclass(frozen=True)
class FlowTouched:
    """A flow that the system stands at an end of; `end` is the map's word for it there."""

    flow: str
    entity: str
    direction: str  # in: it tells; out: it takes; through: its records are carried to others
    end: str
    path: str
    promise: str
    tier: int
    mode: str
    fallback: str | None
    steward: str


@dataclass(frozen=True)
class FieldTouched:
    """A field that the system owns, tells or takes, and what of it the new one does not say yet."""

    entity: str
    field: str
    owned_as: list[str]  # the owners in the map's words: a role, its own name, location
    told_in: dict[str, str]  # stream: how it is spelled
    kept_as: str | None  # the normaliser by which it stores what it takes
    new_tells_in: dict[str, str]
    new_keeps_as: str | None
    missing: list[str]


@dataclass(frozen=True)
class StreamTouched:
    """A stream that ends, what of it somebody must tell from then on, and which streams of the new system do already."""

    stream: str
    meaning: str
    arrives: str
    speaks_of: list[str]
    begins: list[str]  # entities whose records begin in it
    keys: dict[str, list[str]]
    new_streams: list[str]
    missing: list[str]  # entities of which the new system does not speak


@dataclass(frozen=True)
class WordsTouched:
    """The system's words for a status, which the new one says in others."""

    stream: str
    entity: str
    field: str
    words: dict[str, str]
    ladder: list[str]
    new_words: dict[str, str]


@dataclass(frozen=True)
class ProofTouched:
    """A reconciliation with the system on a side."""

    proof: str
    entity: str
    between: list[str]
    fields: list[str]
    every: str
    can_be_asked: bool  # whether the new system can be looked at as a whole
    steward: str


@dataclass(frozen=True)
class Replacement:
    """Everything in the map that a replacement touches."""

    system: str
    role: str
    steward: str
    connector: str
    settings: dict[str, str]
    new: str
    new_is_known: bool
    new_is_ready_made: bool  # its file waits in map/library
    new_role: str | None
    flows: list[FlowTouched]
    fields: list[FieldTouched]
    streams: list[StreamTouched]
    words: list[WordsTouched]
    locations: list[str]
    proofs: list[ProofTouched]
    named_in: dict[str, list[str]]  # file of the map: the keys that name the system itself
    stewards: dict[str, list[str]]  # who must be told: of what

    @property
    def entities(self) -> list[str]:
        """The entities of which it tells or takes something."""
        spoken = [entity for stream in self.streams for entity in stream.speaks_of]
        return list(dict.fromkeys([*spoken, *(field.entity for field in self.fields)]))


def pair(text: str) -> tuple[str, str]:
    """The two names of `tryton=netsuite`. Raises NoReplacement."""
    old, equals, new = (part.strip() for part in text.partition("="))
    if not (old and equals and new) or "=" in new:
        raise NoReplacement(f"{text!r} is no replacement; write --replace SYSTEM=NEW, as in --replace tryton=netsuite")
    return old, new


def touched(told: IntegrationMap, name: str, new: str, library: Mapping[str, System] = NO_LIBRARY) -> Replacement:
    """What the replacement of a system by another, known to the map, ready-made or neither, would touch.

    Raises NoReplacement.
    """
    _judge(told, name, new)
    system, successor = told.systems[name], told.systems.get(new) or library.get(new)
    flows, proofs = list(_flows(told, system)), list(_proofs(told, system, successor))
    return Replacement(
        system=name,
        role=system.role,
        steward=system.steward,
        connector=system.connector,
        settings={key: source.env for key, source in system.settings.items()},
        new=new,
        new_is_known=successor is not None,
        new_is_ready_made=new in library and new not in told.systems,
        new_role=successor.role if successor else None,
        flows=flows,
        fields=list(_fields(told, system, successor)),
        streams=list(_streams(told, system, successor)),
        words=list(_words(told, system, successor)),
        locations=system.locations,
        proofs=proofs,
        named_in=_named_in(told, name),
        stewards=_stewards(told, system, successor, flows, proofs),
    )


def replaced(told: IntegrationMap, name: str, new: str) -> IntegrationMap:
    """The map without the system, and with the new one wherever it was named; for a name that it lacks, a copy under it.

    Where nobody has its role any longer, the new system is named for the role, too.
    """
    others = {key: system for key, system in told.systems.items() if key != name}
    if new not in others:
        others[new] = told.systems[name].model_copy(update={"system": new})
    role = told.systems[name].role
    instead = {name: new} if any(one.role == role for one in others.values()) else {name: new, role: new}

    def renamed(names: list[str]) -> list[str]:
        return list(dict.fromkeys(instead.get(one, one) for one in names))

    def entity_with(entity: Entity) -> Entity:
        fields = {key: one.model_copy(update={"owner": renamed(one.owner)}) for key, one in entity.fields.items()}
        flows = {
            key: one.model_copy(
                update={
                    "from_": instead.get(one.from_, one.from_) if one.from_ else None,
                    "to": instead.get(one.to, one.to) if one.to else None,
                }
            )
            for key, one in entity.flows.items()
        }
        proofs = {
            key: one.model_copy(update={"between": [instead.get(side, side) for side in one.between]})
            for key, one in entity.reconcile.items()
        }
        exists = entity.exists and entity.exists.model_copy(update={"owner": renamed(entity.exists.owner)})
        routes = entity.routes and entity.routes.model_copy(
            update={
                "places": {
                    key: one.model_copy(update={"by": instead.get(one.by, one.by)})
                    for key, one in entity.routes.places.items()
                }
            }
        )
        return entity.model_copy(
            update={"fields": fields, "flows": flows, "reconcile": proofs, "exists": exists, "routes": routes}
        )

    return IntegrationMap.model_construct(
        systems=others, entities={key: entity_with(entity) for key, entity in told.entities.items()}
    )


def _judge(told: IntegrationMap, name: str, new: str) -> None:
    if name not in told.systems:
        of_role = [system.system for system in told.systems_named(name)]
        if of_role:
            raise NoReplacement(f"{name} is a role, not a system; name the one that is replaced: {joined(of_role)}")
        raise NoReplacement(
            f"the map has no system {name!r}{perhaps(name, told.systems)}; it has {joined(told.systems)}"
        )
    if new == name:
        raise NoReplacement(f"{name} cannot replace itself; name the system that comes in its place")
    if new in ROLES:
        raise NoReplacement(
            f"{new} is a role; name the system that will have it, as in --replace {name}=<name of the new system>"
        )
    if not NAME.fullmatch(new):
        raise NoReplacement(
            f"{new!r} cannot be a system's name, which is also its file's; write small letters, digits and underscores, "
            "as in netsuite"
        )


def _flows(told: IntegrationMap, system: System) -> Iterator[FlowTouched]:
    for entity, name, flow in every_flow(told):
        if flow.from_ and system.system in senders_of(told, entity, flow):
            direction, end = "in", flow.from_
        elif flow.to and system in told.destinations(entity, flow):
            direction, end = "out", flow.to
        elif flow.to and system.system in senders_of(told, entity, flow):
            direction, end = "through", system.role
        else:
            continue
        timing = cron_in_words(flow.cron) if flow.cron else flow.timing.replace("_", " ")
        yield FlowTouched(
            flow=name,
            entity=entity.entity,
            direction=direction,
            end=end,
            path=path_of(told, entity, flow),
            promise=f"{timing}, {spelled(flow.max_lag)}",
            tier=flow.tier,
            mode=flow.mode,
            fallback=flow.on_failure.fallback if flow.on_failure else None,
            steward=flow.steward,
        )


def _fields(told: IntegrationMap, system: System, new: System | None) -> Iterator[FieldTouched]:
    for entity, name, field in every_field(told):
        owned_as = [
            owner
            for owner in field.owner
            if system in owners_of(told, entity, owner) and speaks_of(system, entity.entity)
        ]
        told_in, kept_as = _told_in(system, entity, name), _kept_as(system, entity, name)
        takes = name in system.takes.get(entity.entity, [])
        if not (owned_as or told_in or takes):
            continue
        new_takes = new is not None and name in new.takes.get(entity.entity, [])
        new_tells, new_keeps = _told_in(new, entity, name), _kept_as(new, entity, name)
        missing = [
            "spelling" if told_in and not new_tells else "",
            "taking it" if takes and not new_takes else "",
            "normaliser" if takes and new_keeps is None else "",
        ]
        yield FieldTouched(
            entity=entity.entity,
            field=name,
            owned_as=owned_as,
            told_in=told_in,
            kept_as=kept_as,
            new_tells_in=new_tells,
            new_keeps_as=new_keeps,
            missing=[what for what in missing if what],
        )


def _told_in(system: System | None, entity: Entity, field: str) -> dict[str, str]:
    return {
        name: part.fields[field]
        for name, stream in (system.streams if system else {}).items()
        if entity.entity in stream.says
        for part in stream.says[entity.entity].parts()
        if field in part.fields
    }


def _kept_as(system: System | None, entity: Entity, field: str) -> str | None:
    return system.stores.get(entity.entity, {}).get(field) if system else None


def _streams(told: IntegrationMap, system: System, new: System | None) -> Iterator[StreamTouched]:
    for name, stream in system.streams.items():
        theirs = {key: one for key, one in (new.streams if new else {}).items() if set(one.says) & set(stream.says)}
        spoken = {entity for one in theirs.values() for entity in one.says}
        yield StreamTouched(
            stream=name,
            meaning=stream.meaning,
            arrives=_ways(stream.arrives),
            speaks_of=list(stream.says),
            begins=[entity for entity, says in stream.says.items() if says.originates.strip().lower() != "false"],
            keys={entity: says.key for entity, says in stream.says.items()},
            new_streams=[f"{key}: {_ways(one.arrives)}" for key, one in theirs.items()],
            missing=[entity for entity in stream.says if entity not in spoken],
        )


def _ways(arrives: Arrives) -> str:
    ways = [
        f"webhook {', '.join(arrives.webhook)}" if arrives.webhook else "",
        f"poll every {arrives.poll}" if arrives.poll else "",
        f"file {arrives.file}" if arrives.file else "",
        f"whole look {cron_in_words(arrives.snapshot)}" if arrives.snapshot else "",
    ]
    return "; ".join(way for way in ways if way)


def _words(told: IntegrationMap, system: System, new: System | None) -> Iterator[WordsTouched]:
    for stream_name, stream in system.streams.items():
        for entity, says in stream.says.items():
            for field, words in (told for part in says.parts() for told in part.words.items()):
                known = told.entities[entity].fields.get(field) if entity in told.entities else None
                theirs = [
                    one.says[entity].words.get(field, {})
                    for one in (new.streams if new else {}).values()
                    if entity in one.says
                ]
                yield WordsTouched(
                    stream=stream_name,
                    entity=entity,
                    field=field,
                    words=words,
                    ladder=known.ladder or [] if known else [],
                    new_words={their: ours for table in theirs for their, ours in table.items()},
                )


def _proofs(told: IntegrationMap, system: System, new: System | None) -> Iterator[ProofTouched]:
    for entity, name, proof in every_reconciliation(told):
        if any(system in told.systems_named(side) for side in proof.between):
            streams = (new.streams if new else {}).values()
            yield ProofTouched(
                proof=name,
                entity=entity.entity,
                between=proof.between,
                fields=list(proof.fields),
                every=cron_in_words(proof.every),
                can_be_asked=any(entity.entity in one.says and one.arrives.snapshot for one in streams),
                steward=proof.steward,
            )


def _named_in(told: IntegrationMap, name: str) -> dict[str, list[str]]:
    """Where entities name the system itself, not its role: there its successor must be written."""
    found: dict[str, list[str]] = {}
    for entity in told.entities.values():
        keys = [
            key for key, value in _leaves(entity.model_dump(by_alias=True, exclude_none=True)) if _names(value, name)
        ]
        if keys:
            found[f"map/entities/{entity.entity}.yaml"] = list(dict.fromkeys(keys))
    return found


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(key, text) of everything that a map file says."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves(one, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one, key)
    elif isinstance(value, str):
        yield key, value


def _names(value: str, name: str) -> bool:
    return value == name or f"'{name}'" in value


def _stewards(
    told: IntegrationMap, system: System, new: System | None, flows: list[FlowTouched], proofs: list[ProofTouched]
) -> dict[str, list[str]]:
    """Whom a person must speak to before, and about what."""
    reasons = [(system.steward, f"keeps {system.system}")]
    reasons += [(new.steward, f"keeps {new.system}")] if new else []
    reasons += [(flow.steward, f"answers for the flow {flow.flow}") for flow in flows]
    reasons += [(proof.steward, f"answers for the proof {proof.proof}") for proof in proofs]
    reasons += [
        (rule.steward, f"answers for the rule {name} of {entity.entity}")
        for entity in told.entities.values()
        for name, rule in entity.rules.items()
        if rule.steward and speaks_of(system, entity.entity)
    ]
    found: dict[str, list[str]] = {}
    for steward, reason in reasons:
        found.setdefault(steward, []).append(reason)
    return found

"""Rules on names: everything that the map mentions is in it."""

import re
from collections import Counter

from pipelines.language import handwritten
from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import (
    advice_on,
    at_entity,
    at_field,
    at_flow,
    at_system,
    every_field,
    every_flow,
    every_saying,
    every_stream,
    files_of,
    joined,
    no_field,
    outbound,
    perhaps,
    root_of,
    speaks_of,
)
from pipelines.language.schema import IntegrationMap, Part
from resources.host import settings

MODELS = settings.ROOT / "dbt_project" / "models"


@error
def names_are_plain(told: IntegrationMap) -> Found:
    """A name becomes a table, a column or a job: lower case, digits and underscores."""
    for system, name, _ in every_stream(told):
        if not _is_plain(name):
            yield Problem(at_system(told, system, f"streams.{name}"), _rename(name))
    for entity, name, _ in every_field(told):
        if not _is_plain(name):
            yield Problem(at_field(told, entity, name, "type"), _rename(name))
    for entity, name, _ in every_flow(told):
        if not _is_plain(name):
            yield Problem(at_flow(entity, name, "steward"), _rename(name))
    for system in told.systems.values():
        if not _is_plain(system.system):
            yield Problem(at_system(told, system, "system"), _rename(system.system))
    for entity in told.entities.values():
        for name in [entity.entity, *entity.key, *entity.reconcile, *entity.rules]:
            if not _is_plain(name):
                yield Problem(at_entity(told, entity, "entity" if name == entity.entity else name), _rename(name))


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) is not None


def _rename(name: str) -> str:
    return f"{name!r} cannot be a name; write it in lower case letters, digits and underscores, a letter first"


@error
def flow_names_are_unique(told: IntegrationMap) -> Found:
    """A flow's name is the name of its outbox and of its figures: two flows cannot share one."""
    count = Counter(name for _, name, _ in every_flow(told))
    for entity, name, _ in every_flow(told):
        if count[name] > 1:
            yield Problem(
                at_flow(entity, name, "steward"), f"another entity has a flow {name!r} too; rename one of them"
            )


@error
def flows_name_systems(told: IntegrationMap) -> Found:
    """A flow comes from, or goes to, a system or role that the map knows: one of the two."""
    for entity, name, flow in every_flow(told):
        if (flow.from_ is None) == (flow.to is None):
            yield Problem(at_flow(entity, name, "to"), "a flow has either `from` or `to`; give it exactly one of them")
        for key, end in (("from", flow.from_), ("to", flow.to)):
            if end is not None and not told.systems_named(end):
                yield Problem(at_flow(entity, name, key), advice_on(told, end))


@error
def senders_speak_of_the_entity(told: IntegrationMap) -> Found:
    """Who a flow comes from has a stream that speaks of its entity."""
    for entity, name, flow in every_flow(told):
        senders = told.systems_named(flow.from_) if flow.from_ else []
        if senders and not any(speaks_of(system, entity.entity) for system in senders):
            yield Problem(
                at_flow(entity, name, "from"),
                f"no stream of {flow.from_} speaks of {entity.entity}; add it under `says` in {files_of(senders)}",
            )


@error
def destinations_take_the_entity(told: IntegrationMap) -> Found:
    """Somebody at the end of a flow takes its entity."""
    for entity, name, flow in outbound(told):
        named = told.systems_named(flow.to or "")
        if named and not told.destinations(entity, flow):
            yield Problem(
                at_flow(entity, name, "to"),
                f"{flow.to} takes no {entity.entity}; add `takes: {{{entity.entity}: [...]}}` to {files_of(named)}",
            )


@error
def flows_carry_what_is_there(told: IntegrationMap) -> Found:
    """A flow out carries fields of its entity, at least one, and children of it."""
    for entity, name, flow in outbound(told):
        if not flow.fields:
            yield Problem(
                at_flow(entity, name, "fields"), "carries nothing; list the fields that the destination takes"
            )
        for field in flow.fields:
            if field not in entity.fields:
                yield Problem(at_flow(entity, name, "fields"), no_field(entity, field))
        children = [child.entity for child in told.children(entity.entity)]
        for child in flow.with_:
            if child not in children:
                yield Problem(
                    at_flow(entity, name, "with"),
                    f"{child!r} is no child of {entity.entity}{perhaps(child, children)}; name one of "
                    f"{joined(children) or 'none'}, or give it `parent: {entity.entity}`",
                )


@error
def destinations_take_the_fields(told: IntegrationMap) -> Found:
    """A flow carries only fields that each of its destinations takes."""
    for entity, name, flow in outbound(told):
        for system in told.destinations(entity, flow):
            refused = [f for f in flow.fields if f in entity.fields and f not in system.takes[entity.entity]]
            if refused:
                yield Problem(
                    at_flow(entity, name, "fields"),
                    f"{system.system} does not take {joined(refused)}; add them under takes.{entity.entity} in "
                    f"map/systems/{system.system}.yaml, or leave them out",
                )


@error
def parents_and_references_exist(told: IntegrationMap) -> Found:
    """Parents, referenced entities and entities that a model reads are in the map, and parents have no parents."""
    for entity in told.entities.values():
        named = [("parent", entity.parent)] if entity.parent else []
        named += [("reads", name) for name in entity.reads]
        named += [(f"fields.{name}.references", f.references) for name, f in entity.fields.items() if f.references]
        for key, name in named:
            if name not in told.entities:
                yield Problem(at_entity(told, entity, key), _no_entity(told, name))
        if entity.parent in told.entities and told.entities[entity.parent].parent:
            yield Problem(
                at_entity(told, entity, "parent"), f"{entity.parent} is a child itself; name its parent instead"
            )


@error
def models_read_what_the_map_says(told: IntegrationMap) -> Found:
    """A hand-written model stands in the dbt project, and `reads` lists every entity that it refers to."""
    for entity in told.entities.values():
        if entity.model is None:
            continue
        found = [path for path in MODELS.rglob(f"{entity.model}.sql") if "generated" not in path.parts]
        if not found:
            yield Problem(
                at_entity(told, entity, "model"),
                f"there is no model {entity.model!r}; write dbt_project/models/{entity.entity}/{entity.model}.sql",
            )
            continue
        referred = {
            name for text in handwritten.texts(entity.model, MODELS.parent) for name in handwritten.REF.findall(text)
        }
        missing = {root_of(told, name) for name in referred if name in told.entities} - {*entity.reads, entity.entity}
        if missing:
            yield Problem(
                at_entity(told, entity, "reads"),
                f"the model refers to {joined(missing)}, whose changes would not reach it; add them to reads",
            )


def _no_entity(told: IntegrationMap, name: str) -> str:
    return f"there is no entity {name!r}{perhaps(name, told.entities)}; add map/entities/{name}.yaml or mend the name"


@error
def systems_speak_of_known_things(told: IntegrationMap) -> Found:
    """Streams say, and systems take, entities and fields that the map knows."""
    for system, stream_name, stream in every_stream(told):
        for name, says in stream.says.items():
            key = f"streams.{stream_name}.says.{name}"
            if name not in told.entities:
                yield Problem(at_system(told, system, key), _no_entity(told, name))
                continue
            parts: list[Part] = [says, *says.each.values()]
            spelled = {field for part in parts for field in (*part.fields, *part.words)}
            for field in sorted(spelled):
                if field not in told.entities[name].fields:
                    yield Problem(
                        at_system(told, system, f"{key}.fields.{field}", name), no_field(told.entities[name], field)
                    )
    for system in told.systems.values():
        for name, fields in system.takes.items():
            if name not in told.entities:
                yield Problem(at_system(told, system, f"takes.{name}"), _no_entity(told, name))
                continue
            for field in fields:
                if field not in told.entities[name].fields:
                    yield Problem(at_system(told, system, f"takes.{name}", name), no_field(told.entities[name], field))


@error
def keys_have_all_their_parts(told: IntegrationMap) -> Found:
    """A stream spells as many parts of a key as the entity has, and a child's key begins with its parent's."""
    for system, stream_name, _, entity, says in every_saying(told):
        parts = len(says.key) + (says.line is not None)
        if parts != len(entity.key):
            yield Problem(
                at_system(told, system, f"streams.{stream_name}.says.{entity.entity}.key", entity.entity),
                f"spells {parts} of the key's {len(entity.key)} parts; spell {', '.join(entity.key)}, in this order "
                "(`line` counts as the last one)",
            )
    for entity in told.entities.values():
        parent = told.entities.get(entity.parent or "")
        if parent and entity.key[: len(parent.key)] != parent.key:
            yield Problem(
                at_entity(told, entity, "key"),
                f"does not begin with the key of {parent.entity}; write [{', '.join(parent.key)}, ...]",
            )

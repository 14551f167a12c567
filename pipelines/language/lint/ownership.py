"""Rules on owners: each field has one, who sends it and is never sent it."""

from pipelines.language import expressions
from pipelines.language.lint.rule import Found, Problem, error, provisional
from pipelines.language.ownership import merges, owns
from pipelines.language.queries import (
    advice_on,
    at_entity,
    at_field,
    at_flow,
    at_system,
    every_field,
    every_saying,
    every_stream,
    files_of,
    joined,
    originates,
    outbound,
    owners_of,
    root_of,
    speaks_of,
    spells,
)
from pipelines.language.schema import Entity, EntityField, Flow, IntegrationMap, Says, System

NUMBERS = ("money", "unit_price", "quantity", "integer", "number", "rate")


@error
def every_field_has_an_owner(told: IntegrationMap) -> Found:
    """Every field, and the existence of every record, is owned by a system or role that the map knows."""
    for entity, name, field in every_field(told):
        if not field.owner:
            yield Problem(
                at_field(told, entity, name, "owner"), f"field {name!r} has no owner; add owner: <system or role>"
            )
        for owner in field.owner:
            if (advice := _is_no_owner(told, entity, owner)) is not None:
                yield Problem(at_field(told, entity, name, "owner"), advice)
    for entity in told.entities.values():
        if entity.exists is None and entity.parent is None and entity.model is None:
            yield Problem(
                at_entity(told, entity, "exists"),
                f"nobody owns whether one of {entity.entity} exists; add exists: {{owner: <system or role>}}",
            )
        for owner in entity.exists.owner if entity.exists else []:
            if (advice := _is_no_owner(told, entity, owner)) is not None:
                yield Problem(at_entity(told, entity, "exists.owner"), advice)


def _is_no_owner(told: IntegrationMap, entity: Entity, owner: str) -> str | None:
    if owner == "us":
        return (
            None if entity.model else "`us` owns only what a model computes; name a system, or give the entity `model`"
        )
    if owner == "location":
        has_one = "location" in entity.key or "location" in entity.fields
        return None if has_one else "`location` owns only where the key has a location; name a system or role"
    return None if told.systems_named(owner) else advice_on(told, owner)


@error
def owners_say_their_fields(told: IntegrationMap) -> Found:
    """An owner sends what it owns: some stream of it spells the field."""
    for entity, name, field in every_field(told):
        for owner in field.owner:
            systems = owners_of(told, entity, owner)
            if systems and not any(spells(system, entity.entity, name) for system in systems):
                yield Problem(
                    at_field(told, entity, name, "owner"),
                    f"{owner} never sends {name!r}; spell it under says.{entity.entity}.fields in {files_of(systems)}, "
                    "or name the owner that sends it",
                )


@error
def required_fields_have_a_source(told: IntegrationMap) -> Found:
    """What a record cannot be without is spelled wherever such records begin."""
    for system, stream_name, stream, entity, says in every_saying(told):
        if not originates(told, entity.entity, stream) or stream.messages == "delete":
            continue
        for name, field in entity.fields.items():
            mine = any(system in owners_of(told, entity, owner) for owner in field.owner)
            if field.required and mine and name not in says.fields:
                yield Problem(
                    at_system(told, system, f"streams.{stream_name}.says.{entity.entity}.fields", entity.entity),
                    f"does not spell {name!r}, which is required, so everything from here is refused; spell it, or "
                    "drop `required`",
                )


@error
def records_begin_somewhere(told: IntegrationMap) -> Found:
    """Some stream originates each entity."""
    for entity in told.entities.values():
        if entity.parent or entity.model:
            continue
        if not any(originates(told, entity.entity, stream) for _, _, stream in every_stream(told)):
            yield Problem(
                at_entity(told, entity, "entity"),
                f'no record of {entity.entity} begins anywhere; add `originates: "true"` to the stream of the system '
                "in which they are made",
            )


@provisional
def records_arrive_by_a_flow(told: IntegrationMap) -> Found:
    """From each system in which records begin, a flow brings them: with a promise, a tier and a steward."""
    for entity in told.roots:
        beginning = {s.system for s, _, stream in every_stream(told) if originates(told, entity.entity, stream)}
        brought = {s.system for flow in entity.flows.values() if flow.from_ for s in told.systems_named(flow.from_)}
        lost = [name for name, flow in entity.flows.items() if flow.to is None and not _brings(told, entity, flow)]
        for system in sorted(beginning - brought) if not lost else ():  # a flow whose `from` is wrong is told of itself
            yield Problem(
                at_entity(told, entity, "flows"),
                f"records of {entity.entity} begin in {system}, and no flow promises to bring them; add one with "
                f"from: {system}",
            )


def _brings(told: IntegrationMap, entity: Entity, flow: Flow) -> bool:
    return flow.from_ is not None and any(speaks_of(one, entity.entity) for one in told.systems_named(flow.from_))


@error
def locations_have_one_owner(told: IntegrationMap) -> Found:
    """A stock location belongs to one system; a mirror of it would be added up twice."""
    owners: dict[str, System] = {}
    for system in told.systems.values():
        for location in system.locations:
            first = owners.setdefault(location, system)
            if first is not system:
                yield Problem(
                    at_system(told, system, "locations"),
                    f"{location} belongs to {first.system} already; take it out of one of the two files",
                )


@error
def systems_speak_for_their_own_locations(told: IntegrationMap) -> Found:
    """A system that names the location it speaks for owns that location."""
    seen: set[tuple[str, str]] = set()
    for system, stream_name, _, entity, says in every_saying(told):
        for key, text in _locations(entity, says):
            spelled = expressions.read(text)
            for location in sorted(spelled.words - set(system.locations)) if spelled.is_closed else ():
                if (system.system, location) not in seen:
                    seen.add((system.system, location))
                    yield Problem(
                        at_system(told, system, f"streams.{stream_name}.says.{entity.entity}.{key}", entity.entity),
                        f"speaks for location {location}, which is not its own; add it to `locations`, or name one of "
                        f"{joined(system.locations) or 'its own'}",
                    )


def _locations(entity: Entity, says: Says) -> list[tuple[str, str]]:
    """Where a stream spells the location of a record, in its key or as a field."""
    keys = [("key", part) for name, part in zip(entity.key, says.key, strict=False) if name == "location"]
    return keys + [("fields.location", text) for name, text in says.fields.items() if name == "location"]


@error
def no_owner_gets_its_own_field(told: IntegrationMap) -> Found:
    """A system is never sent the field that it owns: its own word would come back as news."""
    for entity, name, flow in outbound(told):
        for field_name in flow.fields:
            field = entity.fields.get(field_name)
            if field is None or merges(field) or _goes_in_a_circle(told, entity, field_name, field):
                continue
            for system in told.destinations(entity, flow):
                is_owner = any(system in owners_of(told, entity, owner) for owner in field.owner)
                if (is_owner and not _by_origin(flow)) or owns(told, entity, field, system) == "always":
                    yield Problem(
                        at_flow(entity, name, "fields"),
                        f"sends {field_name!r} to {system.system}, which owns it; leave it out, or send only other "
                        "systems' records with `when: origin_system <> ...`",
                    )


def _by_origin(flow: Flow) -> bool:
    return flow.when is not None and "origin_system" in expressions.read(flow.when).names


def _goes_in_a_circle(told: IntegrationMap, entity: Entity, name: str, field: EntityField) -> bool:
    """Whether two of a field's owners are sent it, of records that began in one system."""
    sent: dict[str, set[str]] = {}
    for flow in entity.flows.values():
        for system in told.destinations(entity, flow) if flow.to and name in flow.fields else ():
            for origin in _origins(told, entity, flow):
                sent.setdefault(origin, set()).add(system.system)
    return any(
        sum(any(s.system in reached for s in owners_of(told, entity, owner)) for owner in field.owner) > 1
        for reached in sent.values()
    )


def _origins(told: IntegrationMap, entity: Entity, flow: Flow) -> set[str]:
    """The systems of whose records the flow sends any, as far as its condition says so in plain words."""
    demands = expressions.read(flow.when).demands if flow.when else frozenset()
    return {
        system.system
        for system in told.systems.values()
        if all(is_it == (text == system.system) for column, is_it, text in demands if column == "origin_system")
    }


@error
def no_field_goes_in_a_circle(told: IntegrationMap) -> Found:
    """Two systems that own one field are not both sent it, of the same records: each would repeat the other for ever."""
    for entity, name, field in every_field(told):
        if not merges(field) and _goes_in_a_circle(told, entity, name, field):
            yield Problem(
                at_field(told, entity, name, "owner"),
                f"{joined(field.owner)} own {name!r} and are all sent it, so each repeats the other; take it out of "
                "one of the flows, name one owner, or send each the others' records with `when: origin_system = ...`",
            )


@error
def entities_do_not_wait_in_a_circle(told: IntegrationMap) -> Found:
    """No entity waits, over references and models, for itself."""
    waits = {entity.entity: _waits_for(told, entity.entity) for entity in told.roots}
    seen: set[str] = set()
    for start in sorted(waits):
        circle = _circle(waits, [start])
        if circle and not seen & set(circle):
            seen |= set(circle)
            yield Problem(
                at_entity(told, told.entities[circle[0]], "reads" if told.entities[circle[0]].reads else "fields"),
                f"ownership runs in a circle: {' <- '.join([*circle, circle[0]])}; take one of these references or "
                "`reads` away",
            )


def _waits_for(told: IntegrationMap, name: str) -> set[str]:
    """The entities that must be settled before this one. A record may refer to another of its own kind."""
    family = told.family(name)
    referred = {field.references for member in family for field in member.fields.values() if field.references}
    read = {other for member in family for other in member.reads if other in told.entities}
    known = {root_of(told, other) for other in referred if other in told.entities} - {name}
    return known | {root_of(told, other) for other in read}


def _circle(waits: dict[str, set[str]], path: list[str]) -> list[str]:
    """The first way back to the path's beginning."""
    for following in sorted(waits.get(path[-1], ())):
        if following == path[0]:
            return path
        if following not in path and (found := _circle(waits, [*path, following])):
            return found
    return []


@error
def resolve_fits_the_type(told: IntegrationMap) -> Found:
    """`furthest` needs a ladder of statuses, `sum` a number, `withdrawn_wins` statuses of which the last is the withdrawal."""
    for entity, name, field in every_field(told):
        fits = {
            "furthest": (field.ladder is not None, "a list of statuses"),
            "sum": (field.type in NUMBERS, "a number"),
            "withdrawn_wins": (field.ladder is not None, "a list of statuses, the withdrawal last,"),
        }
        is_fit, wanted = fits.get(field.resolve, (True, ""))
        if not is_fit:
            yield Problem(
                at_field(told, entity, name, "resolve"),
                f"{field.resolve} needs {wanted} as type; change the type, or write `resolve: latest`",
            )


@provisional
def restores_have_a_way_back(told: IntegrationMap) -> Found:
    """`restore` sends the owner's value back, so some flow carries the field."""
    for entity, name, field in every_field(told):
        if field.on_foreign_write == "restore" and not any(name in flow.fields for flow in entity.flows.values()):
            yield Problem(
                at_field(told, entity, name, "on_foreign_write"),
                f"no flow carries {name!r}, so nothing can restore it; add it to a flow, or write `hold`",
            )

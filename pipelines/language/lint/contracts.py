"""Rules on fields and expressions: money has a currency, and DuckDB can read every spelling."""

from collections.abc import Iterator

from pipelines.language import expressions
from pipelines.language.lint.rule import Found, Problem, error, hint
from pipelines.language.queries import (
    Place,
    at_entity,
    at_field,
    at_flow,
    at_system,
    every_field,
    every_stream,
    joined,
    perhaps,
)
from pipelines.language.schema import Entity, IntegrationMap, Part, Stream, System

RECORD_NAMES = {"origin_system", "deleted_at", "known_as"}  # what every settled record has beside its fields
SPELLING_NAMES = {"payload", "remote_id", "file_name", "row_number", "received_at"}


@error
def money_has_a_currency(told: IntegrationMap) -> Found:
    """An amount is worth nothing without the currency that its record, or its parent, names."""
    for entity in told.entities.values():
        amounts = [name for name, field in entity.fields.items() if field.type in ("money", "unit_price")]
        around = [entity, *([told.entities[entity.parent]] if entity.parent in told.entities else [])]
        if amounts and not any(field.type == "currency" for one in around for field in one.fields.values()):
            yield Problem(
                at_entity(told, entity, f"fields.{amounts[0]}.type"),
                f"{joined(amounts)}: no currency; add a field of type currency to {entity.entity}"
                + (f" or {entity.parent}" if entity.parent else ""),
            )


@hint
def personal_fields_are_marked(told: IntegrationMap) -> Found:
    """An e-mail address or a telephone number is personal."""
    for entity, name, field in every_field(told):
        if field.type in ("email", "phone") and not field.personal:
            yield Problem(
                at_field(told, entity, name, "personal"), f"{name!r} tells who somebody is; add personal: true"
            )


@error
def expressions_can_be_read(told: IntegrationMap) -> Found:
    """Every expression is DuckDB's, reads only what is there, and means what it seems to."""
    for place, text, names in _expressions(told):
        spelled = expressions.read(text)
        if spelled.problem:
            yield Problem(place, f"DuckDB cannot read `{text}`: {spelled.problem}; mend the expression")
            continue
        for name in sorted(spelled.names - names):
            yield Problem(
                place, f"`{text}` reads {name!r}, which is not there{perhaps(name, names)}; use {joined(names)}"
            )
        for name in sorted(spelled.functions - expressions.known_functions()):
            guess = perhaps(name, expressions.known_functions())
            yield Problem(place, f"`{text}` calls {name}(), which nobody knows{guess}; mend its name")
        for slip in spelled.slips:
            yield Problem(place, f"in `{text}` {slip}; put parentheses around the arrow, as in (payload ->> '$.id')")


Spelled = Iterator[tuple[Place, str | None, set[str]]]  # an expression, and the names that it may read


def _expressions(told: IntegrationMap) -> Iterator[tuple[Place, str, set[str]]]:
    """Every expression of the map."""
    for system, name, stream in every_stream(told):
        yield from _written(_of_stream(told, system, name, stream))
    for system in told.systems.values():
        yield from _written(_of_stores(told, system))
    for entity in told.entities.values():
        yield from _written(_of_entity(told, entity))


def _written(spelled: Spelled) -> Iterator[tuple[Place, str, set[str]]]:
    return ((place, text, names) for place, text, names in spelled if text is not None)


def _of_stream(told: IntegrationMap, system: System, name: str, stream: Stream) -> Spelled:
    key = f"streams.{name}"
    as_of = stream.file.as_of if stream.file else None
    yield at_system(told, system, f"{key}.file.as_of"), as_of, {"file_name"}
    row = SPELLING_NAMES | ({"as_of"} if as_of else set())
    for field in ("remote_id", "occurred_at", "sequence", "deleted_at", "writer"):
        yield at_system(told, system, f"{key}.{field}"), getattr(stream, field), row
    for entity, says in stream.says.items():
        place = f"{key}.says.{entity}"
        names = row | ({"item"} if says.unfold else set())
        yield at_system(told, system, f"{place}.unfold", entity), says.unfold, row
        yield at_system(told, system, f"{place}.when", entity), says.when, names
        yield at_system(told, system, f"{place}.remote_id", entity), says.remote_id, row
        yield at_system(told, system, f"{place}.originates", entity), says.originates, names
        yield at_system(told, system, f"{place}.line", entity), says.line, names
        yield at_system(told, system, f"{place}.echo", entity), says.echo, names
        for key_part in says.key:
            yield at_system(told, system, f"{place}.key", entity), key_part, names
        parts: list[tuple[str, Part]] = [(f"{place}.each.{each}", part) for each, part in says.each.items()]
        for said, one in [(place, says), *parts]:
            yield at_system(told, system, f"{said}.occurred_at", entity), one.occurred_at, row
            for field, text in one.fields.items():
                yield at_system(told, system, f"{said}.fields.{field}", entity), text, names
        for channel, part in says.each.items():
            yield at_system(told, system, f"{place}.each.{channel}.when", entity), part.when, row


def _of_stores(told: IntegrationMap, system: System) -> Spelled:
    for entity, fields in system.stores.items():
        for field, text in fields.items():
            yield at_system(told, system, f"stores.{entity}.{field}", entity), text, {"value"}


def _named(entity: Entity) -> set[str]:
    """The entities that a record names."""
    return {field.references for field in entity.fields.values() if field.references}


def _of_entity(told: IntegrationMap, entity: Entity) -> Spelled:
    names = {*entity.key, *entity.fields, *RECORD_NAMES}
    for name, field in entity.fields.items():
        yield at_field(told, entity, name, "rule"), field.rule, names
        yield (
            at_field(told, entity, name, "lifted_by"),
            field.lifted_by,
            {*entity.key, *entity.fields, "system", "stream"},
        )
    for name, rule in entity.rules.items():
        others = {other for other, _ in expressions.read(rule.that).others}
        yield at_entity(told, entity, f"rules.{name}.that"), rule.that, names | others
    if entity.adds_up:
        yield at_entity(told, entity, "adds_up.when"), entity.adds_up.when, {*entity.key, *entity.fields}
        lines = told.entities.get(entity.adds_up.lines.entity)
        names_of_lines = {*lines.key, *lines.fields} if lines else set()
        yield at_entity(told, entity, "adds_up.lines.counts"), entity.adds_up.lines.counts, names_of_lines
    for name, hold in entity.holds.items():
        yield at_entity(told, entity, f"holds.{name}.when"), hold.when, names
    for name, limit in entity.limits.items():
        yield at_entity(told, entity, f"limits.{name}.counts"), limit.counts, names
        yield at_entity(told, entity, f"limits.{name}.stands"), limit.stands, names
    for name, figure in ({} if entity.model else entity.figures).items():  # a model by hand has columns of its own
        yield at_entity(told, entity, f"figures.{name}.is"), figure.is_, names | {"last_received_at"}
    for name, place in (entity.routes.places if entity.routes else {}).items():
        yield (
            at_entity(told, entity, f"routes.places.{name}.when"),
            place.when,
            names | {entity.parent or ""} | _named(entity),
        )
    for owner, rows in (entity.exists.first if entity.exists else {}).items():
        yield at_entity(told, entity, f"exists.first.{owner}"), rows, {*entity.key, entity.parent or ""}
    for name, match in entity.match.items():
        yield at_entity(told, entity, f"match.{name}.by"), match.by, {*entity.key, *entity.fields}
    for name, flow in entity.flows.items():
        yield at_flow(entity, name, "when"), flow.when, names
        for shown, text in flow.shows.items():
            yield at_flow(entity, name, f"shows.{shown}"), text, names
        yield at_flow(entity, name, "canary"), flow.canary, names
    for name, reconciliation in entity.reconcile.items():
        yield at_entity(told, entity, f"reconcile.{name}.when"), reconciliation.when, names
        yield at_entity(told, entity, f"reconcile.{name}.gone"), reconciliation.gone, {*entity.key, *entity.fields}

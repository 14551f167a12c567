"""Rules on routes: each line is shipped from exactly one place, and somebody there is told of it."""

import re
from collections.abc import Iterator

import duckdb

from pipelines.language import expressions
from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, at_flow, joined, outbound, perhaps
from pipelines.language.schema import Entity, EntityField, IntegrationMap
from resources.lake.macros import teach

NUMBERS = ("money", "unit_price", "quantity", "integer", "number", "rate")
EXAMPLES = 200_000  # lines that are thought of, at most


@error
def lines_have_one_route(told: IntegrationMap) -> Found:
    """Every line that can be thought of, along the borders of the conditions, fits one place; one takes what is left."""
    for entity in told.entities.values():
        if entity.routes is None:
            continue
        left = [name for name, place in entity.routes.places.items() if place.when is None]
        if len(left) != 1:
            what = f"{joined(left)} take what is left" if left else "no place takes the lines that fit none"
            yield Problem(
                at_entity(told, entity, "routes.places"), f"{what}; leave out `when` of one place, and of no other"
            )
        if example := _fits_two(told, entity):
            yield Problem(
                at_entity(told, entity, "routes.places"), f"{example}; make their conditions exclude each other"
            )


@error
def shippers_are_told(told: IntegrationMap) -> Found:
    """Every place of a route is a system's or role's that some flow tells of its lines."""
    for entity in told.entities.values():
        for name, place in (entity.routes.places if entity.routes else {}).items():
            here = at_entity(told, entity, f"routes.places.{name}.by")
            shippers = told.systems_named(place.by)
            if not shippers:
                known = [*told.systems, *(system.role for system in told.systems.values())]
                yield Problem(here, f"{place.by!r} is no system and no role{perhaps(place.by, known)}; name who ships")
            elif not any(
                entity.entity in flow.with_
                and flow.ships in (name, None)
                and any(taker in shippers for taker in told.destinations(parent, flow))
                for parent, _, flow in outbound(told)
            ):
                yield Problem(
                    here,
                    f"nobody tells {place.by} which lines to ship from {name}; add a flow of {entity.parent} to it, with "
                    f"`with: [{entity.entity}]` and `ships: {name}`",
                )


@error
def flows_ship_from_places_that_are(told: IntegrationMap) -> Found:
    """A flow that carries the lines of one place names a place of their routes."""
    for entity, name, flow in outbound(told):
        if flow.ships is None:
            continue
        routed = [told.entities[child].routes for child in flow.with_ if child in told.entities]
        places = [place for routes in routed if routes for place in routes.places]
        if flow.ships not in places:
            yield Problem(
                at_flow(entity, name, "ships"),
                f"{flow.ships!r} is no place that its lines are shipped from{perhaps(flow.ships, places)}; write one of "
                f"{joined(places) or 'none: its children have no routes'}",
            )


def _fits_two(told: IntegrationMap, entity: Entity) -> str | None:
    """A line that two places would ship, in words; None when none can be thought of."""
    assert entity.routes is not None
    conditions = {name: place.when for name, place in entity.routes.places.items() if place.when}
    read = {name: expressions.read(text) for name, text in conditions.items()}
    if any(one.problem for one in read.values()):
        return None  # which another rule says
    own = sorted({name for one in read.values() for name in one.names} & entity.fields.keys())
    others = sorted({other for one in read.values() for other in one.others if other[0] in told.entities})
    fields = {name: entity.fields[name] for name in own}
    fields |= {
        f"{of}.{name}": told.entities[of].fields[name] for of, name in others if name in told.entities[of].fields
    }
    texts = " ".join(conditions.values())
    crossed = " cross join ".join(
        f"(select unnest([{', '.join(_examples(field, texts))}]) as {_column(name)})" for name, field in fields.items()
    )
    structs: dict[str, list[str]] = {}
    for of, name in others:
        structs.setdefault(of, []).append(f"{name} := {_column(f'{of}.{name}')}")
    packed = "".join(f", struct_pack({', '.join(parts)}) as {of}" for of, parts in structs.items())
    fits = ", ".join(f"if({condition}, '{name}', null)" for name, condition in conditions.items())
    with duckdb.connect() as db:
        teach(db)
        try:
            row = db.execute(
                f"select {', '.join(map(_column, fields)) or '1'}, places from (select *, list_filter([{fits}], lambda p: p is not null)"
                f" as places from (select *{packed} from (select * from {crossed or '(select 1)'} limit {EXAMPLES}))) where len(places) > 1 limit 1"
            ).fetchone()
        except duckdb.Error:
            return None  # which another rule says, or the first build
    if row is None:
        return None
    values = ", ".join(
        f"{name} {'unknown' if value is None else value}" for name, value in zip(fields, row, strict=False)
    )
    return f"a line with {values} fits {joined(row[-1])}"


def _column(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _examples(field: EntityField, texts: str) -> Iterator[str]:
    """Values on both sides of every constant that the conditions hold a field against."""
    yield "null"
    if field.type == "boolean":
        yield from ("true", "false")
    elif field.type in NUMBERS:
        for number in sorted({float(found) for found in re.findall(r"(?<![\w'])\d+(?:\.\d+)?", texts)} | {0.0}):
            yield from (f"cast({number + step} as double)" for step in (-1, 0, 1))
    elif field.type not in ("timestamp", "date"):
        words = {word.replace("%", "") for word in re.findall(r"'([^']*)'", texts)} | {"anything else"}
        yield from (f"'{word}'" for word in sorted(words))

"""Rules on limits: what records of an entity may come to together, and where that is enforced."""

from collections.abc import Iterator

from pipelines.language.lint.ownership import NUMBERS
from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, joined, no_field, perhaps
from pipelines.language.schema import Entity, IntegrationMap, Limit


@error
def limits_can_be_added_up(told: IntegrationMap) -> Found:
    """A limit adds up a number of records that stand for themselves, by a field, up to a number of what that field names."""
    for entity in told.entities.values():
        for name, limit in entity.limits.items():
            advice = next(_slips(told, entity, name, limit), None)
            if advice:
                yield Problem(at_entity(told, entity, f"limits.{name}"), advice)


def _slips(told: IntegrationMap, entity: Entity, name: str, limit: Limit) -> Iterator[str]:
    if entity.parent or entity.model or len(entity.key) > 1:
        yield f"{entity.entity} are no records with one key that systems tell; take it away"
    for field in (limit.adds, limit.per):
        if field not in entity.fields:
            yield no_field(entity, field)
    if name in entity.fields or name in entity.rules or name in entity.unique:
        yield f"{name!r} is the name of a field or rule, too, and what is held says it; choose another"
    if limit.adds in entity.fields and entity.fields[limit.adds].type not in NUMBERS:
        yield f"adds up {limit.adds!r}, which is no number; name a field that is"
    other, field = limit.source
    if other not in told.entities:
        yield f"there is no entity {other!r}{perhaps(other, told.entities)}; mend at_most: <entity>.<field>"
    elif field not in told.entities[other].fields:
        yield no_field(told.entities[other], field)
    elif told.entities[other].fields[field].type not in NUMBERS:
        yield f"{other}.{field} is no number; mend at_most: <entity>.<field>"


@error
def limits_hold_flows(told: IntegrationMap) -> Found:
    """A limit holds flows that leave; a limit that holds none is a wish."""
    for entity in told.entities.values():
        leaving = [name for name, flow in entity.flows.items() if flow.to]
        for name, limit in entity.limits.items():
            place = at_entity(told, entity, f"limits.{name}.holds")
            if not limit.holds:
                yield Problem(place, f"holds nothing; name the flows that must not go beyond it: {joined(leaving)}")
            for flow in limit.holds:
                if flow not in leaving:
                    yield Problem(
                        place,
                        f"{entity.entity} has no flow {flow!r} that delivers{perhaps(flow, leaving)}; it has {joined(leaving)}",
                    )

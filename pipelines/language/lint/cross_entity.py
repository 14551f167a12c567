"""Rules on rules that read other entities: each can be reached from the record, and its value is there."""

from pipelines.language import expressions
from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, joined, no_field, perhaps
from pipelines.language.schema import Entity, IntegrationMap


@error
def rules_read_what_is_referred_to(told: IntegrationMap) -> Found:
    """What a rule reads of another entity is reached through the one field that refers to it."""
    for entity in told.entities.values():
        for name, rule in entity.rules.items():
            place = at_entity(told, entity, f"rules.{name}.that")
            for other, field in sorted(expressions.read(rule.that).others):
                advice = _unreachable(told, entity, other)
                if advice:
                    yield Problem(place, f"reads {other}.{field}, and {advice}")
                elif field not in (told.entities[other].fields.keys() | {*told.entities[other].key}):
                    yield Problem(place, no_field(told.entities[other], field))


def _unreachable(told: IntegrationMap, entity: Entity, other: str) -> str | None:
    """Why a rule of the entity cannot read the other, with the fix; None when it can."""
    if entity.parent:
        return f"lines are judged with their message alone; move the rule to map/entities/{entity.parent}.yaml"
    if other not in told.entities:
        return f"there is no entity {other!r}{perhaps(other, told.entities)}; mend its name"
    ways = [name for name, field in entity.fields.items() if field.references == other]
    if not ways:
        return (
            f"no field of {entity.entity} refers to {other}; add `references: {other}` to the field that names its key"
        )
    if len(ways) > 1:
        return f"{joined(ways)} all refer to {other}; leave `references` at one of them"
    if other in entity.fields:
        return f"{entity.entity} has a field of that name; rename the field"
    return None


@error
def rules_of_lines_are_warnings(told: IntegrationMap) -> Found:
    """A line is rejected by its fields' rules; a sentence about a whole line can only warn."""
    for entity in told.entities.values():
        for name, rule in entity.rules.items():
            if entity.parent and rule.severity == "reject":
                yield Problem(
                    at_entity(told, entity, f"rules.{name}.severity"),
                    "is reject, and a rule of lines would reject nothing; write severity: warn, or give a field of the line "
                    "this rule",
                )

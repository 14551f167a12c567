"""Rules on time: what turns by itself has a model that looks at the clock, and a field that says when to look again."""

from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, no_field
from pipelines.language.schema import IntegrationMap


@error
def what_turns_by_itself_says_when(told: IntegrationMap) -> Found:
    """The field after which an entity is looked at again is a moment, and its model is what looks."""
    for entity in told.entities.values():
        if entity.turns_at is None:
            continue
        place = at_entity(told, entity, "turns_at")
        if entity.turns_at not in entity.fields:
            yield Problem(place, no_field(entity, entity.turns_at))
        elif entity.fields[entity.turns_at].type != "timestamp":
            yield Problem(place, f"{entity.turns_at} is no moment; give the field `type: timestamp`")
        if entity.model is None:
            yield Problem(
                place,
                f"what is told of {entity.entity} alone settles them, whatever the time; give the entity a `model` "
                "that looks at the moment, or leave turns_at out",
            )

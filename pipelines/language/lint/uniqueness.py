"""Rules on what is unique among an entity's records."""

from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, joined
from pipelines.language.schema import IntegrationMap


@error
def unique_fields_are_there(told: IntegrationMap) -> Found:
    """What is unique is a field of a record that stands for itself under one key."""
    for entity in told.entities.values():
        for name, rule in entity.unique.items():
            if entity.parent or entity.model or len(entity.key) > 1:
                yield Problem(
                    at_entity(told, entity, f"unique.{name}"),
                    f"{entity.entity} are no records with one key that systems tell; take it away",
                )
            elif missing := [field for field in rule.fields if field not in entity.fields]:
                yield Problem(
                    at_entity(told, entity, f"unique.{name}.fields"),
                    f"{entity.entity} has no field {joined(missing)}; mend the spelling, or add it under fields",
                )
            elif name in entity.fields or name in entity.rules:
                yield Problem(
                    at_entity(told, entity, f"unique.{name}"),
                    f"{name!r} is the name of a field or rule, too, and flags begin with it; choose another",
                )

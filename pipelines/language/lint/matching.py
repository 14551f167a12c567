"""Rules on records that are one in several systems."""

from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_entity, at_system, every_saying, joined
from pipelines.language.schema import IntegrationMap

TAKEN = ("systems", "known_as", "first_inbox_id", "last_received_at", "one", "other", "strength")


@error
def matched_records_have_one_key(told: IntegrationMap) -> Found:
    """What is matched has a key of one part and a model of its own, so that one link says who it is."""
    for entity in told.entities.values():
        if entity.match and (entity.parent or entity.model or len(entity.key) != 1):
            reason = (
                f"its rows belong to {entity.parent}"
                if entity.parent
                else f"the model {entity.model} settles it"
                if entity.model
                else "its key has several parts"
            )
            yield Problem(
                at_entity(told, entity, "match"), f"{entity.entity} cannot be matched: {reason}; delete `match`"
            )


@error
def match_names_are_free(told: IntegrationMap) -> Found:
    """A match is named unlike the key and what a record says of itself."""
    for entity in told.entities.values():
        for name in entity.match:
            if name in (*entity.key, *TAKEN):
                yield Problem(
                    at_entity(told, entity, f"match.{name}"),
                    f"{name!r} names something else in the model of matches; call it by what records agree on, as in email",
                )


@error
def what_is_told_aside_has_an_id_of_its_own(told: IntegrationMap) -> Found:
    """Where a stream tells of a record inside another's message, the record's own id there is spelled."""
    for system, name, stream, entity, says in every_saying(told):
        roots = [told.entities[other] for other in stream.says if other in told.entities]
        others = [root.entity for root in roots if root.parent is None and root is not entity]
        if entity.match and others and says.remote_id is None:
            yield Problem(
                at_system(told, system, f"streams.{name}.says.{entity.entity}.remote_id", entity.entity),
                f"its messages carry the id of {joined(others)}; spell where {entity.entity} have theirs, as in "
                "remote_id: payload ->> '$.customer.id'",
            )

"""Rules on rows that several tell: who comes first owns them, and what a system merely repeats can be told from its own word."""

from pipelines.language import expressions
from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import (
    at_entity,
    at_system,
    every_saying,
    joined,
    no_field,
    outbound,
    owners_of,
    perhaps,
)
from pipelines.language.schema import Entity, IntegrationMap, System


@error
def who_comes_first_owns_the_rows(told: IntegrationMap) -> Found:
    """`first` names owners of a child's rows, and asks nothing but the row's key and its parent."""
    for entity in told.entities.values():
        for owner, rows in (entity.exists.first if entity.exists else {}).items():
            place = at_entity(told, entity, f"exists.first.{owner}")
            owners = entity.exists.owner if entity.exists else []
            parent = told.entities.get(entity.parent or "")
            if owner not in owners or parent is None:
                what = f"{owner!r} owns no rows of {entity.entity}{perhaps(owner, owners)}"
                yield Problem(place, f"{what}; name one of {joined(owners)}, of an entity with a parent")
                continue
            for other, field in sorted(expressions.read(rows).others):
                if other == parent.entity and field not in parent.fields:
                    yield Problem(place, no_field(parent, field))


@error
def some_rows_alone_are_rows_of_a_list(told: IntegrationMap) -> Found:
    """`only` and `echo` speak of rows that are unfolded."""
    for system, stream, _, entity, says in every_saying(told):
        if (says.only or says.echo) and not says.unfold:
            yield Problem(
                at_system(told, system, f"streams.{stream}.says.{entity.entity}", entity.entity),
                "`only` and `echo` are said of the rows of a list; add `unfold`, or leave them out",
            )


@error
def what_is_repeated_can_be_told_apart(told: IntegrationMap) -> Found:
    """Where owners of rows are sent those of the others, one of them at least tells which it merely repeats."""
    for child in told.entities.values():
        if child.parent is None or child.exists is None:
            continue
        owners = {system.system: system for owner in child.exists.owner for system in owners_of(told, child, owner)}
        sent = {
            system.system
            for entity, _, flow in outbound(told)
            if child.entity in flow.with_
            for system in told.destinations(entity, flow)
        }
        silent = sorted(name for name in owners.keys() & sent if not _tells_echoes(told, owners[name], child))
        if silent and not any(_tells_echoes(told, system, child) for system in owners.values()):
            yield Problem(
                at_entity(told, child, "exists.owner"),
                f"{joined(silent)} are sent {child.entity} and tell them again, and nobody can tell that from words of their "
                "own; spell `echo`, which rows we wrote there, for one of them",
            )


def _tells_echoes(told: IntegrationMap, system: System, child: Entity) -> bool:
    spelled = [says for one, _, _, entity, says in every_saying(told) if one is system and entity is child]
    return bool(spelled) and all(says.echo for says in spelled)

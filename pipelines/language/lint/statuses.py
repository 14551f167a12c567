"""Rules on statuses: every word of theirs is one of ours, and each of ours is reached."""

from collections.abc import Iterator

from pipelines.language import expressions
from pipelines.language.lint.rule import Found, Problem, error, provisional
from pipelines.language.queries import at_field, at_system, every_field, every_saying, joined, owners_of, perhaps
from pipelines.language.schema import IntegrationMap, Says


@error
def statuses_are_mapped(told: IntegrationMap) -> Found:
    """Every status that a stream can name is one of ours, or has one of ours in `words`."""
    for system, stream_name, _, entity, says in every_saying(told):
        for name in says.fields:
            field = entity.fields.get(name)
            if field is None or field.ladder is None:
                continue
            place = at_system(told, system, f"streams.{stream_name}.says.{entity.entity}.words.{name}", entity.entity)
            yield from (Problem(place, advice) for advice in _unmapped(says, name, field.ladder))
        for name in says.words:
            if name in entity.fields and entity.fields[name].ladder is None:
                yield Problem(
                    at_system(told, system, f"streams.{stream_name}.says.{entity.entity}.words.{name}", entity.entity),
                    f"{name!r} is no status, so no words are looked up for it; delete the table, or list its statuses "
                    "as type",
                )


def _unmapped(says: Says, name: str, ladder: list[str]) -> Iterator[str]:
    spelled = expressions.read(says.fields[name])
    words = says.words.get(name, {})
    if not words and not spelled.is_closed and spelled.problem is None:
        yield f"says its own statuses, and no table translates them; add words: {{{name}: {{theirs: {ladder[0]}}}}}"
        return
    for theirs, ours in words.items():
        if ours not in ladder:
            yield (
                f"{theirs} becomes {ours!r}, which is no status of ours{perhaps(ours, ladder)}; write one of "
                f"{', '.join(ladder)}"
            )
    for word in sorted(spelled.words - words.keys() - ({*ladder} if not words else set())):
        yield f"the spelling can say {word!r}, which has no word of ours; add `{word}: {ladder[0]}` or another of ours"


@error
def only_statuses_go_back(told: IntegrationMap) -> Found:
    """Only a status that otherwise goes forth can be taken back, and it stands on its ladder."""
    for entity, name, field in every_field(told):
        place = at_field(told, entity, name, "may_go_back")
        if field.may_go_back and (field.ladder is None or field.resolve != "furthest"):
            yield Problem(
                place, f"{name!r} goes back anyhow; delete it, or write resolve: furthest on a list of statuses"
            )
        elif field.ladder:
            for word in field.may_go_back:
                if word not in field.ladder:
                    yield Problem(
                        place,
                        f"{word!r} is no status of ours{perhaps(word, field.ladder)}; write one of {', '.join(field.ladder)}",
                    )


@provisional
def statuses_are_reached(told: IntegrationMap) -> Found:
    """Every status on a ladder is one that some owner of it can say."""
    for entity, name, field in every_field(told):
        if field.ladder is None:
            continue
        owners = {system.system for owner in field.owner for system in owners_of(told, entity, owner)}
        said = {
            word
            for system, _, _, spoken, says in every_saying(told)
            if spoken is entity and system.system in owners and name in says.fields
            for word in [*says.words.get(name, {}).values(), *expressions.read(says.fields[name]).words]
        }
        missing = [word for word in field.ladder if word not in said]
        if missing and said:
            yield Problem(
                at_field(told, entity, name, "type"),
                f"no owner of {name!r} ever says {', '.join(missing)}; map a word of theirs to it in {joined(owners)}, "
                "or take it off the list",
            )

"""Rules on senders that know no key of ours, and whose records are found by a field."""

from pipelines.language.lint.rule import Found, Problem, error
from pipelines.language.queries import at_system, every_saying, joined
from pipelines.language.schema import IntegrationMap


@error
def what_finds_a_record_is_told(told: IntegrationMap) -> Found:
    """Where a stream finds records by a field, it tells that field, and another system owns it and begins the records."""
    for system, name, _, entity, says in every_saying(told):
        if says.finds_by is None:
            continue
        place = at_system(told, system, f"streams.{name}.says.{entity.entity}.finds_by", entity.entity)
        if says.finds_by not in entity.fields:
            yield Problem(
                place, f"{entity.entity} have no field {says.finds_by!r}; write one of {joined(entity.fields)}"
            )
        elif says.finds_by not in says.fields:
            yield Problem(place, f"the stream does not tell {says.finds_by!r}; spell it in `fields`")
        elif says.originates != "false":
            yield Problem(place, "a record cannot begin in a stream that finds it elsewhere; delete `originates`")
        elif entity.parent or entity.model or len(entity.key) != 1:
            yield Problem(place, f"{entity.entity} have no single key of their own to be found under; delete it")

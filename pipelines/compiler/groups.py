"""Records of one entity that decide about each other: by which values they hang together, and are settled together."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.compiler.entity import Facts

MOST_ALIKE = 20  # what more records share is nobody's own


@dataclass(frozen=True, slots=True)
class Group:
    """All records with the same values in these columns of a kept table, before a sync or after it, are one."""

    table: str
    columns: tuple[str, ...]
    values: str  # a query over the slice, of what the touched records have there now
    most: int | None = None  # what more records share binds none of them


def groups(facts: Facts) -> Iterator[Group]:
    """What binds the entity's records: what they add up to, what one of them alone may have, what makes them look alike."""
    entity = facts.name
    for rule in facts.limits.rules.values():
        yield Group(entity, (rule.per,), f"select {rule.per} from {entity}")
    for unique in facts.uniqueness.holding.values():
        yield Group(entity, tuple(unique.fields), f"select {', '.join(unique.fields)} from {entity}")
    if facts.entity.match:
        alike = f"alike_{entity}"
        yield Group(alike, ("agree_on", "value"), f"select agree_on, value from {alike}", MOST_ALIKE)


def alike(facts: Facts) -> str:
    """What the map's matches make of each record, as a query: a row per match under which it has a value."""
    return " union all ".join(
        f"select {facts.key[0]}, '{name}' as agree_on, cast(({match.by}) as varchar) as value "
        f"from {facts.name} where deleted_at is null and ({match.by}) is not null"
        for name, match in facts.entity.match.items()
    )

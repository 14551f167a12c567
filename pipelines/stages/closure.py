"""The keys that a slice lacks: records that decide about the touched ones, and about which these decide."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pipelines.compiler.groups import Group
from resources.store import settled

if TYPE_CHECKING:
    from pipelines.stages.slices import Key, Slice

Values = tuple[Any, ...]


def missing(part: "Slice") -> "set[Key]":
    """Who hangs together with the touched records, by what these were or by what they are now, and is not touched itself.

    Where too many share a value to be bound by it, the slice is told so instead.
    """
    if part.batch.is_full:
        return set()
    found: set[Key] = set()
    crowds: set[Values] = set()
    for group in part.plan.groups:
        if group.table in part.tables:
            more, crowded = _others(part, group)
            found |= more
            crowds |= crowded
    if crowds and not found:
        part.computer.load(f"crowded_{part.plan.entity}", sorted(crowds))
    return found


def _others(part: "Slice", group: Group) -> "tuple[set[Key], set[Values]]":
    """The records of this group that are not touched, and the values that more have than it binds."""
    touched = sorted(part.touched, key=str)
    before = Counter(settled.read(part.connection, group.table, group.columns, part.plan.key, touched))
    values = {*before, *part.computer.ask(f"select distinct * from ({group.values})")}
    asked = sorted(value for value in values if None not in value)
    found: set[Key] = set()
    crowded: set[Values] = set()
    others: dict[Values, set[Key]] = {}
    for value, key in _who_has(part, group, [(value, before[value]) for value in asked]):
        if key not in part.touched:
            others.setdefault(value, set()).add(key)
    for value, keys in others.items():
        if group.most is not None and len(keys) > group.most:
            crowded.add(value)
        else:
            found |= keys
    return found, crowded


def _who_has(part: "Slice", group: Group, values: Sequence[tuple[Values, int]]) -> "list[tuple[Values, Key]]":
    """Which records have each of these values: no more than it takes to know that there are too many, beside the touched ones that
    have it."""
    if not values:
        return []
    width = len(group.columns)
    names = [f"asked_{number}" for number in range(width)]
    most = None if group.most is None else group.most + 1
    query = sql.SQL(
        "select {asked}, {key} from unnest({types}) as asked ({asked}, most) "
        "cross join lateral (select {key} from {table} where {same} limit asked.most) as found"
    ).format(
        asked=sql.SQL(", ").join(map(sql.Identifier, names)),
        key=sql.SQL(", ").join(map(sql.Identifier, part.plan.key)),
        types=sql.SQL(", ").join([*[sql.SQL("%s::text[]")] * width, sql.SQL("%s::bigint[]")]),
        table=sql.Identifier(settled.SCHEMA, group.table),
        same=sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.Identifier(name))
            for column, name in zip(group.columns, names, strict=True)
        ),
    )
    given = [*map(list, zip(*(value for value, _ in values), strict=True)), [most and most + own for _, own in values]]
    rows = settled.driver(part.connection).execute(query, given).fetchall()
    return [(row[:width], row[width:]) for row in rows]

"""What a sync asks of people, and what it finds out by itself about whose records are one."""

import json
from typing import Any

import sqlalchemy as sa
from psycopg import sql

from pipelines.compiler.entity import Facts
from pipelines.compiler.plan import WAITING
from pipelines.stages.conflicts import Conflict, in_one_sentence
from pipelines.stages.matching import Doubt, doubts_in_one_sentence
from pipelines.stages.slices import Slice
from resources.store import settled
from resources.store.alerts import Alert, end_alerts, raise_alerts
from resources.store.links import link_by_match

Rows = dict[tuple[Any, ...], tuple[Any, ...]]
Found = list[tuple[str, str, str]]  # (system, remote id, key of the record that it is)


# What waits for people ------------------------------------------------------------------------------------------------------------
def tell(connection: sa.Connection, part: Slice, facts: Facts) -> None:
    """Raise or end the alerts on what of the entity waits for a person by now."""
    kept = {model.name for model in part.plan.kept}
    if f"{facts.name}_matches" in kept:
        _tell(connection, facts, "match", _doubts(connection, facts))
    if f"{facts.name}_conflicts" in kept:
        _tell(connection, facts, "conflict", _conflicts(connection, facts))


def _tell(connection: sa.Connection, facts: Facts, kind: str, told: tuple[str, str] | None) -> None:
    if told is None:
        end_alerts(connection, [facts.name], kinds=[kind])
    else:
        raise_alerts(connection, [Alert(facts.name, kind, *told)])


def _doubts(connection: sa.Connection, facts: Facts) -> tuple[str, str] | None:
    """Who answers for records that may be others, and what they are told: how many, and the one that waits longest."""
    query = sql.SQL(
        "select {key}, other, agree_on, doubt, since, known_as, count(*) over () from {table} "
        "where doubt is not null order by since, other, {key} limit 1"
    ).format(key=sql.Identifier(facts.key[0]), table=sql.Identifier(settled.SCHEMA, f"{facts.name}_matches"))
    row = settled.driver(connection).execute(query).fetchone()
    if row is None:
        return None
    key, other, agree_on, doubt, since, known_as, count = row
    known = [(one["system"], one["remote_id"]) for one in json.loads(known_as)]
    first = Doubt(facts.name, key, other, agree_on, doubt, since, known)
    return facts.steward, doubts_in_one_sentence(first, count, facts.steward)


def _conflicts(connection: sa.Connection, facts: Facts) -> tuple[str, str] | None:
    """Who answers for conflicts that wait, and what they are told: how many, and the oldest."""
    query = sql.SQL(
        "select {key}, system, field, value_now, our_value, on_foreign_write, steward, seen_at, "
        "cast(extract(epoch from now() - seen_at) as double precision), count(*) over () from {table} "
        "where {waiting} order by seen_at, {key}, system, field limit 1"
    ).format(
        key=sql.Identifier(facts.key[0]), table=sql.Identifier(settled.SCHEMA, f"{facts.name}_conflicts"),
        waiting=sql.SQL(WAITING),
    )  # fmt: skip
    row = settled.driver(connection).execute(query).fetchone()
    if row is None:
        return None
    oldest = Conflict(facts.name, *row[:9])
    return oldest.steward, in_one_sentence(oldest, row[9])


# Who is who -----------------------------------------------------------------------------------------------------------------------
def link(connection: sa.Connection, part: Slice, changed: tuple[Rows, Rows] | None) -> None:
    """Link what is sure. It takes the inbox's turn, so nothing may follow it but the end of the transaction; what it links is
    settled by the next batch."""
    found = _sure(part) if any(model.name == f"{part.plan.entity}_matches" for model in part.plan.kept) else []
    if part.plan.finders:
        found += _found_by_field(connection, part, changed or ({}, {}))
    link_by_match(connection, part.plan.entity, found)


def _sure(part: Slice) -> Found:
    return part.computer.ask(
        "select known.system, known.remote_id, other "
        f"from (select other, unnest(known_as) as known from {part.plan.entity}_matches where doubt is null)"
    )


def _found_by_field(connection: sa.Connection, part: Slice, changed: tuple[Rows, Rows]) -> Found:
    """What senders without a key of ours told of: exactly one record has the value that they know.

    Looked at again is what was told just now, and what records had or have in that field that are others now.
    """
    found: Found = []
    entity, key, columns = part.plan.entity, part.plan.key[0], list(part.computer.columns[part.plan.entity])
    for system, stream, field in part.plan.finders:
        place = columns.index(field)
        values = {row[place] for rows in changed for row in rows.values() if row[place] is not None}
        query = sql.SQL(
            """
            select told.system, told.remote_id, min(records.{key})
            from {said} as told
            join {records} as records on records.{field} = told.{field} and records.deleted_at is null
            left join links on links.entity = %(entity)s and links.system = told.system and links.remote_id = told.remote_id
            where told.system = %(system)s and told.stream = %(stream)s and not told.is_rejected and told.{field} in (
                select {field} from {said} where {key} = any(%(touched)s) union select unnest(%(values)s::text[])
            )
            group by told.system, told.remote_id
            having count(distinct records.{key}) = 1 and min(records.{key}) is distinct from min(links.key)
            """
        ).format(
            key=sql.Identifier(key), field=sql.Identifier(field), said=sql.Identifier(settled.SCHEMA, f"said_{entity}"),
            records=sql.Identifier(settled.SCHEMA, entity),
        )  # fmt: skip
        given = {
            "entity": entity, "system": system, "stream": stream, "values": sorted(values),
            "touched": [key for (key,) in sorted(part.touched, key=str)],
        }  # fmt: skip
        found += settled.driver(connection).execute(query, given).fetchall()
    return found

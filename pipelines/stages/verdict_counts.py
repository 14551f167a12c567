"""How many messages have which verdict, counted on in the transaction that gives the verdicts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from resources.store import settled
from resources.store.store import query

ALL = datetime.min.replace(tzinfo=UTC)  # stands for -infinity
Counted = tuple[datetime, str, str, str]  # hour, system, stream, verdict


def count_changes(
    connection: sa.Connection,
    entity: str,
    columns: Sequence[str],
    changed: tuple[Mapping[Any, tuple[Any, ...]], Mapping[Any, tuple[Any, ...]]],
) -> None:
    """Count the verdicts that went, and those that are new; the rows have these columns."""
    gone, new = changed
    counts: Counter[Counted] = Counter()
    for rows, step in ((gone, -1), (new, 1)):
        for row in rows.values():
            told = dict(zip(columns, row, strict=True))
            whose = told["system"], told["stream"], told["verdict"]
            counts[ALL, *whose] += step
            counts[_hour(told["received_at"]), *whose] += step
    _add(connection, entity, {counted: more for counted, more in counts.items() if more})


def count_anew(connection: sa.Connection, entity: str) -> None:
    """Count all verdicts of an entity that was settled anew."""
    connection.execute(query("forget_verdict_counts"), {"entity": entity, "all_of_them": True})
    for hour, which in (
        ("'-infinity'::timestamptz", "true"),
        ("date_trunc('hour', received_at)", "received_at > now() - interval '1 day'"),
    ):
        connection.execute(
            sa.text(
                f"""
                insert into verdict_counts (entity, hour, system, stream, verdict, messages)
                select :entity, {hour}, system, stream, verdict, count(*)
                from {settled.SCHEMA}.{entity}_verdicts where {which} group by 2, 3, 4, 5
                """
            ),
            {"entity": entity},
        )


def _add(connection: sa.Connection, entity: str, counts: Mapping[Counted, int]) -> None:
    yesterday = _hour(datetime.now(UTC) - timedelta(days=1))
    asked = [
        (*counted, more) for counted, more in sorted(counts.items()) if counted[0] == ALL or counted[0] >= yesterday
    ]
    if asked:
        hours, systems, streams, verdicts, messages = zip(*asked, strict=True)
        told = {
            "systems": list(systems),
            "streams": list(streams),
            "verdicts": list(verdicts),
            "messages": list(messages),
        }
        named = ["-infinity" if hour == ALL else hour.isoformat() for hour in hours]
        connection.execute(query("add_to_verdict_counts"), {"entity": entity, "hours": named, **told})
    connection.execute(query("forget_verdict_counts"), {"entity": entity, "all_of_them": False})


def _hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)

"""A bird in the mine: whether prepared statements still answer as freshly planned ones do, on a slice that stays the same.

A prepared plan that went wrong answers nothing, without an error, for ever; records would seem to be gone.
"""

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from pipelines.stages.compute import Computer
from pipelines.stages.slices import LANDING
from resources.store.settled import driver

EVERY = 3600.0  # seconds
OF_A_STREAM = 3  # messages: the first that each stream ever told


class WrongPlan(Exception):
    """Prepared statements answer otherwise than freshly planned ones; nothing may be settled by them."""


def look_when_due(computer: Computer, connection: sa.Connection, compute: Callable[..., object]) -> None:
    """Try the statements of a computer when it is new, and every hour. Raises WrongPlan."""
    if computer.tried_at is not None and time.monotonic() - computer.tried_at < EVERY:
        return
    look(computer, connection, compute)
    computer.tried_at = time.monotonic()


def look(computer: Computer, connection: sa.Connection, compute: Callable[..., object]) -> None:
    """Run a fixed slice through every statement, prepared and planned anew. Raises WrongPlan."""
    plan = computer.plan
    if not plan.keys:
        return
    first = (
        driver(connection)
        .execute(
            f"""
        select {LANDING} from unnest(%s::text[]) as asked (stream_name)
        cross join lateral (
            select * from inbox
            where system = split_part(stream_name, '/', 1) and stream = split_part(stream_name, '/', 2)
            order by inbox_id limit {OF_A_STREAM}
        ) as first
        """,
            [list(plan.streams)],
        )
        .fetchall()
    )
    prepared, anew = _answers(computer, first, compute, anew=False), _answers(computer, first, compute, anew=True)
    wrong = [name for name, rows in anew.items() if prepared[name] != rows]
    if wrong:
        raise WrongPlan(
            f"the prepared statements of {plan.entity} answer otherwise than freshly planned ones ({', '.join(wrong)}); nothing "
            "was settled by them. Start the workers again; if it comes back, the installed DuckDB is not the pinned one"
        )


def _answers(
    computer: Computer, landing: list[tuple[Any, ...]], compute: Callable[..., object], *, anew: bool
) -> dict[str, list[str]]:
    """The rows of every table, as text and in order."""
    plan = computer.plan
    upto = max((row[0] for row in landing), default=0)
    with computer.slice():
        computer.load("batch", [(0, upto, 0, 0, None, True)])
        computer.load(f"landing_{plan.entity}", landing)
        keys = {row[3:] for row in computer.ask("execute keys")}
        computer.load(f"touched_{plan.entity}", sorted((key for key in keys if key[0] is not None), key=str))
        compute(computer, anew=anew)
        return {
            model.name: sorted(str(row) for row in computer.rows(model.name))
            for model in (*plan.staging, *plan.settling)
        }

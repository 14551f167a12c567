"""Messages that nobody can settle: found by halving, set aside with their reason, so that they stop nobody else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb
import psycopg
import sqlalchemy as sa

from pipelines.stages.batch import BuildFailed

# SQLSTATE classes of what a value brings about: data, constraints, limits of the server. Others are the server's own troubles.
OF_VALUES = ("22", "23", "54")
LONGEST = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that breaks a statement, and how."""

    inbox_id: int
    stage: str  # the model, or what Postgres was asked
    error: str


def is_of_values(problem: BaseException) -> bool:
    """Whether what was said may be the cause, and not the machine."""
    if isinstance(problem, BuildFailed):
        cause = problem.__cause__
        return isinstance(cause, duckdb.Error) and not isinstance(
            cause, duckdb.IOException | duckdb.OutOfMemoryException
        )
    if isinstance(problem, sa.exc.DBAPIError):
        problem = problem.orig or problem
    if isinstance(problem, psycopg.Error):
        return bool(problem.sqlstate) and str(problem.sqlstate)[:2] in OF_VALUES
    return isinstance(problem, ValueError | duckdb.ConversionException | duckdb.OutOfRangeException)


def find(
    trial: Callable[[frozenset[int]], BaseException | None], beside: frozenset[int], inbox_ids: Sequence[int]
) -> list[Poison]:
    """The messages that break a trial, by themselves or beside those that are well. Of two that break it only together the later
    one is found, and the earlier is well."""
    problem = trial(beside | frozenset(inbox_ids))
    if problem is None:
        return []
    if len(inbox_ids) == 1:
        return [Poison(inbox_ids[0], stage_of(problem), reason_of(problem))]
    half = len(inbox_ids) // 2
    found = find(trial, beside, inbox_ids[:half])
    well = beside | (frozenset(inbox_ids[:half]) - {poison.inbox_id for poison in found})
    return found + find(trial, well, inbox_ids[half:])


def stage_of(problem: BaseException) -> str:
    """Where it broke."""
    if isinstance(problem, BuildFailed):
        return str(problem).split(" could not be built", 1)[0]
    return "what is written to Postgres"


def reason_of(problem: BaseException) -> str:
    """What was wrong, in one line."""
    if isinstance(problem, sa.exc.DBAPIError):
        problem = problem.orig or problem
    return " ".join(str(problem).split())[:LONGEST]

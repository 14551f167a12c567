"""Rows of records by their keys, for whoever decides by them: as they are settled now, never as they were published."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from resources.store import settled
from resources.store.store import Store


class Asking(Protocol):
    """Whoever is asked about settled tables by their plain names, in SQL that DuckDB and Postgres both speak."""

    def execute(self, query: Any, values: Any = None, /) -> Any:
        """A cursor over the answer."""


@contextmanager
def asking(store: Store) -> Iterator[Asking]:
    """Ask about settled tables where they are, without opening the lake."""
    with store.transaction() as connection:
        connection.exec_driver_sql(f"set local search_path = {settled.SCHEMA}")
        yield settled.driver(connection)


def ids_judged(store: Store, entity: str, after: int, upto: int) -> npt.NDArray[np.int64]:
    """The inbox ids of a range that have a verdict, of which a whole rebuild has millions."""
    judged = f"select inbox_id from {settled.SCHEMA}.{entity}_verdicts where inbox_id > :after and inbox_id <= :upto"
    with store.transaction() as connection:
        found = connection.execute(
            sa.text(judged), {"after": after, "upto": upto}, execution_options={"yield_per": 10_000}
        )
        return np.fromiter(found.scalars(), dtype=np.int64)


def columns_of(store: Store, table: str) -> list[str]:
    """The columns of a settled table; none of one that was never settled."""
    with store.transaction() as connection:
        return settled.columns_of(connection, table)


def rows_of(
    store: Store, table: str, columns: Sequence[str], by: Sequence[str], keys: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The rows of a settled table whose columns `by` are one of the keys, which have their parts joined by a bar; none of one
    that was never settled."""
    whole = [parts for key in keys if len(parts := key.split("|") if len(by) > 1 else [key]) == len(by)]
    with store.transaction() as connection:
        if not settled.columns_of(connection, table):
            return []
        return settled.read(connection, table, columns, by, whole)

"""Rows of records by their keys, for whoever decides by them: as they are settled now, never as they were published."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from resources.host import settings
from resources.lake import lake
from resources.store import settled
from resources.store.store import Store


class Asking(Protocol):
    """Whoever is asked about settled tables by their plain names, in SQL that DuckDB and Postgres both speak."""

    def execute(self, query: Any, values: Any = None, /) -> Any:
        """A cursor over the answer."""


@contextmanager
def asking(store: Store) -> Iterator[Asking]:
    """Ask about settled tables where they are: in Postgres without opening the lake, else in the lake. Raises LakeProblem."""
    if not settings.is_settled_in_postgres():
        with lake.reading(store.url, settings.lake()) as db:
            yield db
        return
    with store.transaction() as connection:
        connection.exec_driver_sql(f"set local search_path = {settled.SCHEMA}")
        yield settled.driver(connection)


def ids_judged(store: Store, entity: str, after: int, upto: int) -> npt.NDArray[np.int64]:
    """The inbox ids of a range that have a verdict, of which a whole rebuild has millions."""
    judged = f"select inbox_id from {{}}{entity}_verdicts where inbox_id > {after} and inbox_id <= {upto}"
    if not settings.is_settled_in_postgres():
        with lake.reading(store.url, settings.lake()) as db:
            return db.execute(judged.format("")).fetchnumpy()["inbox_id"]
    with store.transaction() as connection:
        found = connection.execute(
            sa.text(judged.format(f"{settled.SCHEMA}.")), execution_options={"yield_per": 10_000}
        )
        return np.fromiter(found.scalars(), dtype=np.int64)


def columns_of(store: Store, table: str) -> list[str]:
    """The columns of a settled table; none of one that was never settled. Raises LakeProblem."""
    if settings.is_settled_in_postgres():
        with store.transaction() as connection:
            return settled.columns_of(connection, table)
    with lake.reading(store.url, settings.lake()) as db:
        try:
            return [row[0] for row in db.execute(f'describe "{table}"').fetchall()]
        except duckdb.CatalogException:
            return []
        except duckdb.Error as problem:
            raise lake.LakeProblem(f"the {table} cannot be looked up: {problem}") from problem


def rows_of(
    store: Store, table: str, columns: Sequence[str], by: Sequence[str], keys: Sequence[str]
) -> list[tuple[Any, ...]]:
    """The rows of a settled table whose columns `by` are one of the keys, which have their parts joined by a bar; none of one
    that was never settled. Raises LakeProblem."""
    if settings.is_settled_in_postgres():
        whole = [parts for key in keys if len(parts := key.split("|") if len(by) > 1 else [key]) == len(by)]
        with store.transaction() as connection:
            if not settled.columns_of(connection, table):
                return []
            return settled.read(connection, table, columns, by, whole)
    key = f"concat_ws('|', {', '.join(by)})" if len(by) > 1 else by[0]
    with lake.reading(store.url, settings.lake()) as db:
        try:
            return db.execute(
                f"select {', '.join(columns)} from {table} where {key} in (select unnest($keys))", {"keys": list(keys)}
            ).fetchall()
        except duckdb.CatalogException:
            return []
        except duckdb.Error as problem:
            raise lake.LakeProblem(f"the {table} cannot be looked up: {problem}") from problem

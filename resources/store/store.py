"""The operational truth: one Postgres database, its named queries, and the locks by which writers take turns."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import psycopg
import sqlalchemy as sa
from psycopg.conninfo import make_conninfo

from resources.store.database import words

QUERIES = Path(__file__).parent / "queries"
READ_ONLY = "25006"  # SQLSTATE
PATIENCE = 900.0  # seconds for one answer: the largest statements take two minutes, a line that fell silent for ever
PING_SECONDS = 5.0
# A server that does not notice that we have gone holds our locks; TCP's own patience is two hours.
SESSION = (
    "-csearch_path=concord -ctimezone=UTC -ctcp_keepalives_idle=10 -ctcp_keepalives_interval=5 -ctcp_keepalives_count=3 "
    "-ctcp_user_timeout=25000"
)
INBOX_LOCK = 4_011_001  # held while inbox or ledger rows are inserted, so that their ids become visible in order


@cache
def query(name: str) -> sa.TextClause:
    """The query of that name in `queries/*.sql`, where each begins with a line `-- name: <name>`. Raises KeyError."""
    for path in sorted(QUERIES.glob("*.sql")):
        for part in re.split(r"^-- name: ", path.read_text(), flags=re.MULTILINE)[1:]:
            title, _, sql = part.partition("\n")
            if title.strip() == name:
                return sa.text(sql)
    raise KeyError(f"no query named {name!r} in {QUERIES}")


class Connection(psycopg.Connection[Any]):
    """Gives itself up when an answer does not come in time: a line that fell silent may never be closed."""

    patience: float | None = PING_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """What every statement of psycopg waits by."""
        try:
            return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.patience:g} s") from None


def engine_for(url: str, patience: float = PATIENCE) -> sa.Engine:
    """One pool a process and database; sessions speak UTC and find our tables without a prefix. Raises BadSetting."""
    return _engine(url, patience)


@cache
def _engine(url: str, patience: float) -> sa.Engine:
    told = words(url)
    told["options"] = f"{told.get('options', '')} {SESSION}".strip()
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=partial(Connection.connect, make_conninfo(**told)),  # libpq alone reads the address, here as elsewhere
        pool_pre_ping=True,  # a connection may have died with the server and be asked again
    )
    sa.event.listen(engine, "handle_error", _leave_read_only)
    sa.event.listen(engine, "checkout", lambda connection, *_: setattr(connection, "patience", patience))
    sa.event.listen(engine, "checkin", _before_its_next_ping)
    return engine


def _before_its_next_ping(connection: Connection | None, _: Any) -> None:
    """A ping needs no patience: who finds the line silent takes a new one."""
    if connection is not None:
        connection.patience = PING_SECONDS


def _leave_read_only(context: sa.engine.ExceptionContext) -> None:
    """A session that cannot write is as good as lost: after a failover, another finds the server that takes writes."""
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


os.register_at_fork(after_in_child=_engine.cache_clear)  # a connection that two processes speak through is none


class Store(dg.ConfigurableResource):
    """The database as the rest of Concord sees it."""

    url: str
    patience: float = PATIENCE  # seconds for one answer, after which the connection is given up

    @property
    def engine(self) -> sa.Engine:
        return engine_for(self.url, self.patience)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that commits at the end of the block and rolls back when the block raises."""
        with self.engine.begin() as connection:
            yield connection

    def rows(self, name: str, **values: Any) -> list[dict[str, Any]]:
        """Run a named query in a transaction of its own and bring its rows."""
        with self.transaction() as connection:
            return [dict(row) for row in connection.execute(query(name), values).mappings()]

    def numbers(self, name: str, **values: Any) -> npt.NDArray[np.int64]:
        """The one column of a named query, which may have millions of rows."""
        with self.transaction() as connection:
            found = connection.execute(query(name), values, execution_options={"yield_per": 10_000})
            return np.fromiter(found.scalars(), dtype=np.int64)

    def one(self, name: str, **values: Any) -> dict[str, Any] | None:
        """The first row of a named query, or None."""
        rows = self.rows(name, **values)
        return rows[0] if rows else None

    def execute(self, name: str, **values: Any) -> int:
        """Run a named statement in a transaction of its own; the number of rows it touched."""
        with self.transaction() as connection:
            return connection.execute(query(name), values).rowcount

    @contextmanager
    def turn(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold the session lock of that name; yields False at once when `wait` is False and another holds it.

        A process that dies releases it, for the lock lives and dies with its connection.
        """
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if wait:
                driver = connection.connection.driver_connection
                assert isinstance(driver, Connection)
                driver.patience = None  # whoever has the turn may work for an hour
                connection.execute(sa.text("select pg_advisory_lock(:number)"), {"number": number})
                driver.patience = self.patience
                mine = True
            else:
                taken = connection.execute(sa.text("select pg_try_advisory_lock(:number)"), {"number": number})
                mine = bool(taken.scalar_one())
            try:
                yield mine
            finally:
                if mine:
                    with suppress(sa.exc.SQLAlchemyError):  # a lost connection has let it go, and says nothing new
                        connection.execute(sa.text("select pg_advisory_unlock(:number)"), {"number": number})


def in_order(connection: sa.Connection) -> None:
    """Take the inbox's turn until this transaction ends. Call it right before an insert into inbox or ledger."""
    connection.execute(sa.text("select pg_advisory_xact_lock(:number)"), {"number": INBOX_LOCK})

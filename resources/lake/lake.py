"""The warehouse: DuckLake files with their catalogue in the same Postgres, opened by dbt and by whoever reads results."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extensions

from resources.host import settings
from resources.lake.macros import teach
from resources.store import database, settled
from resources.store.store import engine_for, query
from resources.store.troubles import sentence_of

ROWS_IN_A_GROUP = 20_000  # a reader holds a whole group of a column: of payloads, 122,880 rows are half a gigabyte
EXTENSIONS = ("ducklake", "postgres_scanner")
PATH = "memory.main,lake.main"  # what is settled hides what was published of it


@cache  # once a process and its forks
def install_extensions() -> None:
    """Put DuckDB's extensions where it finds them, from the wheels, else from the network, and check their signatures: what
    is opened later trusts this check. Raises LakeProblem."""
    for name in EXTENSIONS:
        try:
            duckdb_extensions.import_extension(name)
        except Exception:  # noqa: BLE001  (whatever the wheel lacks, the network may have)
            try:
                duckdb.execute(f"install {name}")
            except duckdb.Error as problem:
                raise LakeProblem(
                    f"DuckDB's extension {name} is neither in a wheel nor to be had from the network: {problem}; "
                    f"install duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
                ) from problem
        with duckdb.connect() as checking:
            try:
                checking.load_extension(name)
            except duckdb.Error as problem:
                raise LakeProblem(
                    f"DuckDB does not take its extension {name}: {problem}; install it again"
                ) from problem


class LakeProblem(Exception):
    """The warehouse cannot be opened. The message says why and what to do."""


def environment(url: str, lake: str) -> dict[str, str]:
    """What dbt's profile reads."""
    return {
        "CONCORD_DATABASE_DSN": database.attachment(url),
        "CONCORD_DATABASE_PASSWORD": database.password(url),
        "CONCORD_LAKE": lake,
        "CONCORD_SPILL": str(settings.state_dir() / "spill"),
    }


_PREPARED: set[tuple[str, str, int]] = set()  # what this process or its parent has seen to: database, lake, catalogue


def prepare(url: str, lake: str) -> None:
    """Make the lake's folder and its catalogue, and tell dbt where everything is."""
    if "://" not in lake:
        Path(lake).mkdir(parents=True, exist_ok=True)
    os.environ.update(environment(url, lake))
    known = catalogue(url)
    if known and (url, lake, known) in _PREPARED:
        return
    with _attached(url, lake, "metadata_schema 'lake'") as connection:  # the first attachment writes the catalogue
        if not connection.execute("from lake.options() where option_name = 'parquet_row_group_size'").fetchone():
            connection.execute(f"call lake.set_option('parquet_row_group_size', {ROWS_IN_A_GROUP})")
    made = catalogue(url)
    if made:
        _PREPARED.add((url, lake, made))


@dataclass
class _Kept:
    """The database that this process keeps open for readers."""

    which: tuple[Any, ...] = ()  # process, database, lake, catalogue
    closing: ExitStack = field(default_factory=ExitStack)
    db: duckdb.DuckDBPyConnection | None = None


_KEPT = _Kept()


@contextmanager
def reading(url: str, lake: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that speaks our words and sees the lake's tables without a prefix, of a database that this process keeps
    open for its next reader. Raises LakeProblem."""
    which = (os.getpid(), url, lake, catalogue(url), _newest_tables(url))
    if _KEPT.db is None or _KEPT.which != which:
        close()
        _KEPT.db = _KEPT.closing.enter_context(_attached(url, lake, "metadata_schema 'lake', read_only"))
        _KEPT.which = which
        _KEPT.db.execute(f"set search_path = '{PATH}'")
        teach(_KEPT.db)  # views speak our words, too
        _show_settled(_KEPT.db, url)
    cursor = _KEPT.db.cursor()
    try:
        cursor.execute(f"set timezone = 'UTC'; set search_path = '{PATH}'")
        yield cursor
    except duckdb.Error:
        close()  # it may be the database that is not well
        raise
    finally:
        cursor.close()


def _newest_tables(url: str) -> int:
    """Which settled tables these are: each rebuild makes its own anew."""
    with engine_for(url).connect() as connection:
        return connection.execute(query("newest_settled_table")).scalar_one()


def _show_settled(db: duckdb.DuckDBPyConnection, url: str) -> None:
    """Views of everything that is settled, under the names of its models, read straight from Postgres."""
    where = database.attachment(url).replace("'", "''")
    db.execute("set pg_use_ctid_scan = false")  # most looks are by a key, and have an index
    db.execute(f"attach '{where}' as settled (type postgres, read_only, schema '{settled.SCHEMA}')")
    db.execute(f"attach '{where}' as store (type postgres, read_only, schema 'concord')")
    with engine_for(url).connect() as connection:
        tables = settled.tables(connection)
    for table in sorted(tables.values(), key=lambda one: one.query is not None):
        if table.query is not None:
            db.execute(f'create view memory.main."{table.name}" as {table.query}')
            continue
        name = table.name.replace("said_", "stg_", 1) if table.name.startswith("said_") else table.name
        columns = ", ".join(settled.typed(column, kind) for column, kind in table.columns.items())
        db.execute(
            f'create view memory.main."{name}" as select {columns} from settled."{settled.SCHEMA}"."{table.name}"'
        )


@contextmanager
def writing(url: str, lake: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that writes tables of the lake, and asks Postgres as `store`. Raises LakeProblem."""
    # Rows kept in the catalogue lose the quotes within their structs, as in dbt's profile.
    with _attached(url, lake, "metadata_schema 'lake', data_inlining_row_limit 0") as connection:
        where = database.attachment(url).replace("'", "''")
        connection.execute(f"attach '{where}' as store (type postgres, read_only, schema '{settled.SCHEMA}')")
        yield connection


def close() -> None:
    """Close the database that `reading` keeps, which holds what it has read."""
    left = _KEPT.closing.pop_all()
    _KEPT.db = None
    if _KEPT.which[:1] == (os.getpid(),):  # a fork leaves its parent's alone
        left.close()


def catalogue(url: str) -> int | None:
    """Which catalogue this is: one that was made anew gives the same numbers to other tables."""
    with engine_for(url).connect() as connection:
        return connection.execute(query("catalogue")).scalar()


def forget(url: str, lake: str, hours: int) -> None:
    """Give up what tables held longer ago than so many hours, and delete the files that only it needed."""
    with _attached(url, lake, "metadata_schema 'lake'") as connection:
        long_ago = "older_than => now() - to_hours(?)"
        connection.execute(f"call ducklake_expire_snapshots('lake', {long_ago})", [hours])
        connection.execute(f"call ducklake_cleanup_old_files('lake', {long_ago})", [hours])


@contextmanager
def _attached(url: str, lake: str, options: str) -> Iterator[duckdb.DuckDBPyConnection]:
    install_extensions()
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "400MB",
        "threads": 2,
        "allow_unsigned_extensions": True,  # checked once a process: reading 100 MB each time takes 0.25 s
        "preserve_insertion_order": False,  # whoever needs an order asks for it
        "temp_directory": str(settings.state_dir() / "spill"),
    }
    connection = duckdb.connect(config=config)
    try:
        connection.execute("set timezone = 'UTC'; load ducklake; load postgres")
        connection.execute(
            "set ducklake_max_retry_count = 60; set ducklake_retry_backoff = 1.05"
        )  # as in dbt's profile
        database.let_in(connection, database.password(url))
        where, folder = (text.replace("'", "''") for text in (database.attachment(url), lake))
        try:
            connection.execute(f"attach 'ducklake:postgres:{where}' as lake (data_path '{folder}', {options})")
        except duckdb.IOException as problem:
            raise LakeProblem(sentence_of(problem) or f"the warehouse cannot be opened: {problem}") from problem
        except duckdb.Error as problem:
            raise LakeProblem(
                f"the warehouse in {lake} cannot be opened: {problem}; do CONCORD_STATE and CONCORD_LAKE name the folder in "
                "which it was made?"
            ) from problem
        connection.execute("use lake.main")
        yield connection
    finally:
        connection.close()

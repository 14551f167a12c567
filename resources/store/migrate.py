"""Bringing the operational database to the version that this code expects: made, then moved forward, once."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import LiteralString, cast

import psycopg
from psycopg.conninfo import make_conninfo

from resources.host import embedded_postgres, settings
from resources.store.database import address, words
from resources.store.troubles import reason_of, sentence_of

SCHEMA = Path(__file__).parent / "schema.sql"
MIGRATIONS = Path(__file__).parent / "migrations"  # NNN_what_changes.sql, above the version that schema.sql makes
MIGRATION_LOCK = 4_011_000
OLDEST_POSTGRES = 140_000


class CannotMigrate(Exception):
    """The database cannot be brought to this version; the text says why, and what to do next."""


def migrate(url: str) -> int:
    """Create the database and its schemas where they are missing and apply what is newer; the version then reached.

    Safe to call at any time, by several processes at once. Raises CannotMigrate or BadSetting.
    """
    told = {**words(url), "application_name": "concord migrate"}
    try:
        _create_database(told)
        with psycopg.connect(make_conninfo(**told), autocommit=True) as connection:
            if connection.info.server_version < OLDEST_POSTGRES:
                raise CannotMigrate(
                    f"{address(url)} is PostgreSQL {connection.info.server_version // 10_000}; Concord needs 14 or newer"
                )
            connection.execute("select pg_advisory_lock(%s)", [MIGRATION_LOCK])  # freed when the connection ends
            return _apply(connection)
    except psycopg.Error as problem:
        why = sentence_of(problem) or f"{reason_of(problem)}; see that its user may create schemas"
        raise CannotMigrate(f"The database {address(url)} cannot be prepared: {why}") from problem


def newest_version() -> int:
    """The version that this code makes."""
    return max([_version_of_schema(), *_migrations()])


def _version_of_schema() -> int:
    return max(
        int(version) for version in re.findall(r"insert into schema_version values \((\d+)\)", SCHEMA.read_text())
    )


def _migrations() -> dict[int, Path]:
    return {int(path.name.split("_")[0]): path for path in sorted(MIGRATIONS.glob("[0-9]*_*.sql"))}


def _create_database(told: Mapping[str, str]) -> None:
    try:
        psycopg.connect(make_conninfo(**told)).close()
        return
    except psycopg.OperationalError as problem:
        if "does not exist" not in str(problem) or "database" not in str(problem):
            raise
    name = told.get("dbname", "")
    with psycopg.connect(make_conninfo(**{**told, "dbname": "postgres"}), autocommit=True) as connection:
        try:
            connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return  # another process was faster


def _apply(connection: psycopg.Connection) -> int:
    known = connection.execute("select to_regclass('concord.schema_version')").fetchone()
    if known is None or known[0] is None:
        with connection.transaction():
            _run_file(connection, SCHEMA)
    connection.execute("create schema if not exists dagster")
    connection.execute("create schema if not exists lake")
    connection.execute("create schema if not exists settled")
    row = connection.execute("select max(version) from concord.schema_version").fetchone()
    version = row[0] if row else 0
    if version > newest_version():
        raise CannotMigrate(
            f"The database is of version {version}, and this Concord knows versions up to {newest_version()} only; "
            "update Concord, or name another database in CONCORD_DATABASE_URL"
        )
    for number, path in sorted(_migrations().items()):
        if number > version:
            with connection.transaction():
                _run_file(connection, path)
                connection.execute("insert into concord.schema_version values (%s)", [number])
            version = number
    return version


def _run_file(connection: psycopg.Connection, path: Path) -> None:
    connection.execute("set local search_path to concord")
    connection.execute(cast(LiteralString, path.read_text()))
    connection.execute("reset search_path")


def main() -> None:
    try:
        if embedded_postgres.is_embedded():
            embedded_postgres.ensure()
        print(f"The database {address(settings.database_url())} is of version {migrate(settings.database_url())}")
    except (CannotMigrate, embedded_postgres.ServerProblem, ValueError) as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main()

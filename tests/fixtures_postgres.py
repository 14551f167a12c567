"""A real database server a session, and a fresh copy of a migrated database a test."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from resources.host.embedded_postgres import Server
from resources.store.migrate import migrate
from resources.store.store import Store, engine_for

TEMPLATE = "concord_template"
numbers = itertools.count(1)


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An embedded server whose commits do not wait for the disk, with a migrated database to copy."""
    folder: Path = tmp_path_factory.mktemp("postgres")
    server = Server(folder, free_port(), is_fast=True)
    server.ensure()
    try:
        migrate(server.url(TEMPLATE))
        yield server
    finally:
        server.stop()


@contextmanager
def fresh_database(server: Server) -> Iterator[str]:
    """The address of a migrated, empty database; it is dropped at the end of the block."""
    name = f"test_{next(numbers)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name} template {TEMPLATE}")
    url = server.url(name)
    yield url
    engine_for(url).dispose()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"drop database if exists {name} with (force)")


@pytest.fixture
def database_url(database_server: Server) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    with fresh_database(database_server) as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Store:
    """The store of that database."""
    return Store(url=database_url)


@dataclass(frozen=True)
class Guarded:
    """A server that lets nobody in without a password, as a merchant's own does."""

    server: Server

    def url(self, role: str, password: str, database: str = "concord") -> str:
        """How CONCORD_DATABASE_URL names it."""
        return f"postgresql://{quote(role, safe='')}:{quote(password, safe='')}@127.0.0.1:{self.server.port}/{database}"

    def rule(self, statement: str) -> None:
        """Execute a statement as the superuser."""
        url = self.server.url("postgres").replace("postgres@", "ruler@")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, role: str, password: str) -> Iterator[str]:
        """The address of a migrated, empty database that a new role owns; both are dropped at the end of the block."""
        name = f"guarded_{next(numbers)}"
        owner, words = sql.Identifier(role).as_string(), sql.Literal(password).as_string()
        self.rule(f"create role {owner} login password {words}")
        self.rule(f"create database {name} owner {owner}")
        url = self.url(role, password, name)
        try:
            migrate(url)
            yield url
        finally:
            engine_for(url).dispose()
            self.rule(f"drop database {name} with (force)")
            self.rule(f"drop role {owner}")


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A server of that kind."""
    server = Server(tmp_path_factory.mktemp("guarded"), free_port(), is_fast=True)
    server.ensure()
    server.stop()
    server._run(
        "postgres", "--single", "-j", "-D", str(server.data), "postgres", text="create role ruler superuser login"
    )
    access = server.data / "pg_hba.conf"
    access.write_text(
        f"{access.read_text()}host all ruler 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    )
    server.ensure()
    try:
        yield Guarded(server)
    finally:
        server.stop()

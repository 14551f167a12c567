"""A real database server a session, and a fresh copy of a migrated database a test."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

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

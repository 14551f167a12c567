"""What is wrong with the database is told as what it is, with what to do, by commands and by workers alike."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
import psycopg
import pytest
from click.testing import CliRunner

from pipelines.commands import main
from pipelines.definitions import build
from pipelines.language.schema import IntegrationMap
from pipelines.stages import dbt_models
from resources.store.store import engine_for
from resources.store.troubles import sentence_of
from tests.destination import HttpDestination
from tests.fixtures_postgres import Guarded
from tests.fixtures_world import World, order
from tests.test_database_password import PLAIN, own_world
from tests.test_definitions import SEEN_BY_NOBODY, run, sentence

# raised by the server itself, since a test can fill no disk: what the server says then
RAISES = """
    create function concord.raise() returns trigger language plpgsql as
    $$ begin raise exception 'could not extend file' using errcode = '{code}'; end $$;
    create trigger raising before update or insert on concord.{table} for each statement execute function concord.raise()
"""
SETTINGS = {
    "alter role plain set default_transaction_read_only = on": ("is read-only", "failed over"),
    "alter role plain connection limit 0": (
        "has no connection free",
        "too many connections",
        "limit of Concord's user",
    ),
    "alter role plain password 'another'": ("does not let Concord in", "password auth", "CONCORD_DATABASE_URL"),
    "alter role plain nologin": ("does not let Concord in", "not permitted", "CONCORD_DATABASE_URL"),
}
CODES = {
    "53100": ("has no space left on its disk", "free some"),
    "53200": ("has no memory left", "give Postgres more"),
    "58030": ("cannot read or write its own files", "its log"),
    "42501": ("does not allow Concord's user", "grant"),
    "25P03": ("ended a session", "idle_in_transaction_session_timeout"),
    "57P01": ("is starting or stopping", "wait"),
}
WAITS = {
    "statement_timeout": ("took longer than its statement_timeout allows", "pg_stat_activity"),
    "lock_timeout": ("was locked by another session", "pg_locks"),
}


@pytest.fixture
def troubled(guarded: Guarded, tmp_path: Path, the_map: IntegrationMap) -> Iterator[World]:
    """A world with one order to settle, in a database that the test may spoil."""
    with own_world(guarded, tmp_path / "lake", the_map, "plain", PLAIN) as world:
        world.say("shopify", "orders", order())
        yield world


def spoil(guarded: Guarded, world: World, statement: str, *, database: bool = False) -> None:
    """Execute it as the superuser, for every session that begins from now on."""
    if database:
        name = world.store.url.rpartition("/")[2]
        with psycopg.connect(guarded.server.url(name).replace("postgres@", "ruler@")) as connection:
            connection.execute(statement.encode())
    else:
        guarded.rule(statement)
    dbt_models.close()
    engine_for(world.store.url).dispose()


@contextmanager
def held(guarded: Guarded, world: World, table: str) -> Iterator[None]:
    """Another session has this table for itself."""
    name = world.store.url.rpartition("/")[2]
    with psycopg.connect(guarded.server.url(name).replace("postgres@", "ruler@")) as connection:
        connection.execute(f"lock table concord.{table} in access exclusive mode".encode())
        yield


def said_by_a_command() -> str:
    """What a command says that writes to the outbox and cannot."""
    told = CliRunner().invoke(main, ["release", "orders_to_erp"])
    assert told.exit_code == 2, told.output
    return told.output


def said_by_a_worker(world: World) -> str:
    """What a run says that begins a batch and cannot."""
    erp = HttpDestination(base_url="http://127.0.0.1:9")
    defs = build(world.the_map, {"store": world.store, "tryton": erp, "shopify": SEEN_BY_NOBODY}, head_start=0)
    with dg.DagsterInstance.ephemeral() as instance:
        return sentence(run(defs, instance, "sync_orders"))


@pytest.mark.parametrize("statement", SETTINGS)
def test_what_the_server_refuses_is_told_as_what_it_is(guarded: Guarded, troubled: World, statement: str) -> None:
    spoil(guarded, troubled, statement)
    by_command, by_worker = said_by_a_command(), said_by_a_worker(troubled)
    for words in SETTINGS[statement]:
        assert words in by_command
        assert words in by_worker
    assert "Whoever keeps Concord answers; nothing is lost" in by_worker


@pytest.mark.parametrize("code", CODES)
def test_what_the_server_cannot_do_is_told_as_what_it_is(guarded: Guarded, troubled: World, code: str) -> None:
    for table in ("outbox", "batches"):
        spoil(
            guarded,
            troubled,
            RAISES.format(code=code, table=table).replace("raise()", f"raise_{table}()"),
            database=True,
        )
    by_command, by_worker = said_by_a_command(), said_by_a_worker(troubled)
    for words in CODES[code]:
        assert words in by_command
        assert words in by_worker


@pytest.mark.parametrize("setting", WAITS)
def test_what_takes_too_long_is_told_with_why(guarded: Guarded, troubled: World, setting: str) -> None:
    spoil(guarded, troubled, f"alter role plain set {setting} = '300ms'")
    with held(guarded, troubled, "outbox"):
        by_command = said_by_a_command()
    with held(guarded, troubled, "batches"):
        by_worker = said_by_a_worker(troubled)
    for words in WAITS[setting]:
        assert words in by_command
        assert words in by_worker


def test_dbt_that_finds_no_connection_is_told_so(guarded: Guarded, troubled: World) -> None:
    spoil(guarded, troubled, "alter role plain connection limit 2")  # the sync's turn and its questions take both
    assert "has no connection free" in said_by_a_worker(troubled)


def test_another_database_s_name_is_told(guarded: Guarded, troubled: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCORD_DATABASE_URL", troubled.store.url.rpartition("/")[0] + "/nowhere")
    assert "does not exist" in said_by_a_command()


def test_a_full_disk_of_the_warehouse_is_not_the_database_s_trouble() -> None:
    with pytest.raises(duckdb.IOException) as told:
        duckdb.execute("copy (select range as n from range(1000000)) to '/dev/full' (format csv)")
    assert "the warehouse's files have no space left on their disk" in str(sentence_of(told.value))


def test_what_a_record_holds_is_never_taken_for_the_server_s_word() -> None:
    with pytest.raises(duckdb.ConversionException, match="too many connections") as told:
        duckdb.execute("select cast('FATAL:  too many connections' as integer)")
    assert sentence_of(told.value) is None
    assert sentence_of(ValueError("Connection refused")) is None

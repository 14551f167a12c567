"""The webhook door before a database that cannot commit: what is sent again, what health tells, and how it recovers."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from pipelines.runtime.dagster_storage import shared_by
from resources.host import embedded_postgres, settings
from resources.host.embedded_postgres import Server
from resources.lake import lake
from resources.store.migrate import migrate
from resources.store.store import Store, engine_for
from resources.store.troubles import sentence_of
from tests.fixtures_postgres import free_port
from tests.fixtures_world import World
from tests.signed_shop import shop_door
from tests.tcp_proxy import proxied
from tests.test_webhooks import ORDER, in_background, inbox, running


def until(is_so: Callable[[], bool], seconds: float) -> float:
    """How many seconds it took until it was so."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.1)
    return time.monotonic() - began


@pytest.fixture
def replica(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with our tables that can be a standby."""
    monkeypatch.setitem(embedded_postgres.SMALL_MACHINE, "wal_level", "replica")
    server = Server(tmp_path_factory.mktemp("replica") / "postgres", free_port(), is_fast=True)
    server.ensure()
    try:
        migrate(server.url("concord"))
        yield server
    finally:
        engine_for(server.url("concord")).dispose()
        server.stop()


def demote(server: Server) -> None:
    """Start it again as a standby, which answers what is read and takes no write."""
    server.stop()
    (server.data / "standby.signal").touch()
    server.ensure()


def promote(server: Server) -> None:
    """Let the standby take writes from now on, as a failover does."""
    (server.data / "promote").touch()
    os.kill(server._postmaster(), signal.SIGUSR1)


def test_a_standby_is_told_to_senders_as_passing_and_to_health_as_read_only(replica: Server) -> None:
    store = Store(url=replica.url("concord"))
    with running(shop_door(store)) as door:
        assert door.post(ORDER).status_code == 200
        assert door.health().json()["status"] == "up"
        demote(replica)
        refused = door.post(b'{"id": 2}')
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
        until(lambda: door.health().status_code == 503, 5)
        assert door.health().json()["database"] == "is read-only"
        promote(replica)
        until(lambda: door.post(b'{"id": 2}').status_code == 200, 20)
        until(lambda: door.health().status_code == 200, 5)
    assert len(inbox(store)) == 2


def test_a_door_leaves_sessions_that_have_become_read_only(store: Store) -> None:
    name = store.url.rpartition("/")[2]
    with running(shop_door(store)) as door:
        assert door.post(ORDER).status_code == 200
        with psycopg.connect(store.url, autocommit=True) as connection:
            connection.execute(f"alter database {name} set default_transaction_read_only = on".encode())
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> pg_backend_pid()",
                [name],
            )
        assert door.post(b'{"id": 2}').status_code == 503
        until(lambda: door.health().json()["database"] == "is read-only", 5)
        with psycopg.connect(store.url, autocommit=True, options="-cdefault_transaction_read_only=off") as connection:
            connection.execute(f"alter database {name} reset default_transaction_read_only".encode())
        assert door.post(b'{"id": 2}').status_code == 200
        until(lambda: door.health().status_code == 200, 5)


@pytest.mark.parametrize("code", ["25006", "53100", "55P03", "58030", "0A000", "P0001"])
def test_what_is_not_the_message_s_fault_is_sent_again(store: Store, code: str) -> None:
    with psycopg.connect(store.url) as connection:
        connection.execute(
            "create function concord.refuse() returns trigger language plpgsql as "
            f"$$ begin raise exception 'no' using errcode = '{code}'; end $$".encode()
        )
        connection.execute("create trigger refusing before insert on concord.inbox execute function concord.refuse()")
    with running(shop_door(store)) as door:
        refused = door.post(ORDER)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")


# A line that has fallen silent without being closed


def test_a_line_that_fell_silent_is_told_and_left_for_a_new_one(store: Store) -> None:
    with proxied(store.url) as (url, proxy), running(shop_door(Store(url=url))) as door:
        assert door.post(ORDER).status_code == 200
        proxy.hush()
        refused = in_background(door.post, b'{"id": 2}')
        time.sleep(1.5)  # longer than what health remembers of the last commit
        assert door.health().status_code == 503
        assert refused.result(10).status_code == 503
        assert until(lambda: door.post(b'{"id": 2}').status_code == 200, 15) < 10
        until(lambda: door.health().status_code == 200, 5)
        assert len(inbox(store)) == 2


def test_a_database_that_accepts_and_says_nothing_is_told_and_found_again(store: Store) -> None:
    with proxied(store.url) as (url, proxy), running(shop_door(Store(url=url))) as door:
        assert door.post(ORDER).status_code == 200
        proxy.is_silent.set()
        proxy.hush()
        for number in (2, 3):
            assert door.post(b'{"id": %d}' % number).status_code == 503
            assert door.health().status_code == 503
        proxy.is_silent.clear()
        until(lambda: door.post(b'{"id": 2}').status_code == 200, 15)
        until(lambda: door.health().status_code == 200, 5)


def test_a_door_ends_in_time_before_a_silent_database(store: Store) -> None:
    with proxied(store.url) as (url, proxy), running(shop_door(Store(url=url))) as door:  # running: within 15 s
        assert door.post(ORDER).status_code == 200
        proxy.is_silent.set()
        proxy.hush()
        assert door.post(b'{"id": 2}').status_code == 503


def test_whoever_waits_for_an_answer_waits_no_longer_than_it_said(store: Store) -> None:
    with proxied(store.url) as (url, proxy):
        patient = Store(url=url, patience=1.0)
        with pytest.raises(sa.exc.OperationalError) as told, patient.transaction() as connection:  # noqa: PT012
            connection.execute(sa.text("select 1"))
            proxy.hush()
            began = time.monotonic()
            connection.execute(sa.text("select 1"))
        assert time.monotonic() - began < 4
        assert "cannot be reached (no answer within 1 s)" in str(sentence_of(told.value))
        assert patient.one("newest_ids")
        patient.engine.dispose()


def test_a_line_that_fell_silent_while_nobody_spoke_is_left_for_a_new_one(store: Store) -> None:
    with proxied(store.url) as (url, proxy):
        ordinary = Store(url=url)
        assert ordinary.one("newest_ids")
        proxy.hush()
        began = time.monotonic()
        assert ordinary.one("newest_ids")
        assert time.monotonic() - began < 10
        ordinary.engine.dispose()


def test_a_turn_may_be_waited_for_as_long_as_it_takes(store: Store) -> None:
    patient = Store(url=store.url, patience=0.5)
    got: list[bool] = []

    def wait() -> None:
        with patient.turn("orders") as mine:
            got.append(mine)

    waiting = threading.Thread(target=wait)
    with store.turn("orders"):
        waiting.start()
        time.sleep(1.5)
        assert got == []
    waiting.join(5)
    assert got == [True]
    assert patient.one("newest_ids")
    patient.engine.dispose()


# Every connection of ours notices by itself that the other end has gone


def probed_after(port: int) -> list[float]:
    """Of this process's open connections to that port, the seconds until the kernel asks whether the other end is there."""
    own = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink() or path.exists()}
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, _, timer, _, _, _, inode, *_ = line.split()
        is_ours = f"socket:[{inode}]" in own and int(remote.partition(":")[2], 16) == port and state == "01"
        if is_ours:
            kind, _, ticks = timer.partition(":")
            found.append(int(ticks, 16) / 100 if kind == "02" else float("inf"))
    return found


def test_every_connection_of_ours_is_kept_alive(world: World, database_server: Server) -> None:
    world.products("TEE")  # by dbt's attachments
    dagsters = shared_by(settings.dagster_url(), os.getpid()).engine
    with lake.reading(world.store.url, str(world.folder)) as db, dagsters.connect() as connection:
        connection.execute(sa.text("select 1"))
        db.execute("from products").fetchall()
        waits = probed_after(database_server.port)
    dagsters.dispose()
    assert len(waits) >= 4  # the store's, dbt's, the reader's, Dagster's
    assert [wait for wait in waits if wait > 10.5] == []

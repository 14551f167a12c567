"""The store: named queries, transactions, and turns that a dying process gives back."""

import os
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest
import sqlalchemy as sa

from resources.host.settings import ROOT
from resources.store.store import Store, query

HOLD = """
import sys, time
from resources.store.store import Store
with Store(url=sys.argv[1]).turn("orders"):
    print("mine", flush=True)
    time.sleep(60)
"""


def test_a_query_is_found_by_its_name_and_an_unknown_one_is_told() -> None:
    assert "from cursors" in query("get_cursor").text
    with pytest.raises(KeyError, match="no query named 'get_lost'"):
        query("get_lost")


def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction() as connection:  # noqa: PT012
        connection.execute(query("set_cursor"), {"system": "shop", "stream": "orders", "cursor": "1"})
        raise RuntimeError
    assert store.rows("get_cursor", system="shop", stream="orders") == []


def test_a_statement_commits_and_tells_how_many_rows_it_touched(store: Store) -> None:
    assert store.execute("set_cursor", system="shop", stream="orders", cursor="1") == 1
    assert store.one("get_cursor", system="shop", stream="orders") == {"cursor": "1"}
    assert store.one("get_cursor", system="shop", stream="others") is None


def test_sessions_speak_utc_and_find_our_tables(store: Store) -> None:
    with store.transaction() as connection:
        assert connection.execute(sa.text("show timezone")).scalar_one() == "UTC"
        assert connection.execute(sa.text("select to_regclass('inbox')::text")).scalar_one() == "inbox"


def test_a_connection_that_died_in_the_pool_is_replaced(store: Store) -> None:
    with store.transaction() as connection:
        number: int = connection.execute(sa.text("select pg_backend_pid()")).scalar_one()
    with psycopg.connect(store.url) as other:
        other.execute("select pg_terminate_backend(%s, 2000)", [number])
    assert store.rows("get_cursor", system="shop", stream="orders") == []


def test_a_turn_is_one_holders_at_a_time(store: Store) -> None:
    with store.turn("orders") as mine:
        assert mine
        with store.turn("orders", wait=False) as second:
            assert not second
        with store.turn("stock", wait=False) as other:
            assert other
    with store.turn("orders", wait=False) as again:
        assert again


def test_a_turn_that_ends_in_an_error_is_given_back(store: Store) -> None:
    with pytest.raises(RuntimeError), store.turn("orders"):
        raise RuntimeError
    with store.turn("orders", wait=False) as mine:
        assert mine


def test_who_waits_for_a_turn_gets_it_when_it_is_given_back(store: Store) -> None:
    order: list[str] = []

    def wait() -> None:
        with store.turn("orders"):
            order.append("second")

    with store.turn("orders"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_turn_is_freed_by_the_kill_of_its_holder(store: Store) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, store.url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        with store.turn("orders", wait=False) as mine:
            assert not mine
        os.kill(holder.pid, signal.SIGKILL)
    with store.turn("orders") as mine:
        assert mine

"""Syncs that are killed anywhere, that run at once, whose map changes under them, whose lake is gone: the rows are the same."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from pipelines.compiler.generate import write
from pipelines.language.schema import load_map
from pipelines.stages.batch import PROJECT
from pipelines.stages.sync import sync
from resources.store.database import attachment
from tests import doomed_sync
from tests.fixtures_world import World, at, line, order
from tests.wanting import select

PATIENCE = 120.0  # seconds that a sync may take on a machine that does much else
TABLES = (
    "products", "orders", "order_lines", "fulfilments", "fulfilment_lines", "stock", "sellable", "wanted_orders",
    "products_verdicts", "orders_verdicts", "fulfilments_verdicts", "stock_verdicts", "orders_conflicts",
)  # fmt: skip


def start(world: World, entity: str) -> BaseProcess:
    world.enter()
    return doomed_sync.start(world.store.url, str(world.folder), entity)


def until(what: Callable[[], Any], process: BaseProcess | None = None) -> bool:
    """Wait until it is so; False when the process has ended before."""
    end = time.monotonic() + PATIENCE
    while not what():
        if process is not None and not process.is_alive():
            return False
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)
    return True


def ended(*processes: BaseProcess) -> list[int | None]:
    """How they ended, 0 for well."""
    for process in processes:
        process.join(PATIENCE)
    return [process.exitcode for process in processes]


def kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    return {table: world.rows(f"select * from {table} order by all") for table in TABLES}


def births(world: World, number: int) -> list[tuple[str, str, str]]:
    return [
        (row["action"], row["reason"], str(row["status"]))
        for row in world.outbox("orders_to_erp")
        if row["key"] == f"SHOP-{number}"
    ]


def parcel(world: World, number: int) -> None:
    told = {"parcel": f"P{number}", "order": f"SHOP-{number}", "carrier": "DHL", "tracking": f"T-{number}", "at": at(5),
            "lines": [{"sku": "TEE", "quantity": "1"}]}  # fmt: skip
    world.say("warehouse", "despatches", told, by="file", file_name=f"despatch/P{number}.xml",
              file_occurrence=f"P{number}", row_number=1)  # fmt: skip


def count(world: World, quantity: int) -> None:
    minutes = world.number()
    told = {"sku": "TEE", "location": "MAIN", "quantity": str(quantity), "as_of": at(minutes / 100)}
    world.say("tryton", "stock", told, by="poll", remote_id="TEE@MAIN")


@pytest.fixture(scope="module")
def busy_world(world: World) -> World:
    """A world in which everything has been settled once, so that what follows is settled on top."""
    world.products("TEE")
    number = world.number()
    world.say("shopify", "orders", order(number))
    parcel(world, number)
    count(world, 100)
    world.sync()
    return world


MET = (  # tables in the order in which a sync meets them
    "concord.inbox", "settled.orders_verdicts", "concord.ledger", "settled.orders", "settled.order_lines", "settled.wanted_orders",
    "concord.wakes", "concord.settled_tables", "concord.verdict_counts", "concord.outbox",
)  # fmt: skip
STUCK = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def test_a_sync_that_is_killed_at_any_table_that_it_meets_loses_and_doubles_nothing(busy_world: World) -> None:
    world = busy_world
    edited, cancelled, waiting, new = (world.number() for _ in range(4))
    sku = f"NEW-{waiting}"
    world.say("shopify", "orders", order(edited), order(cancelled), order(waiting, lines=[line(1, sku)]))
    world.sync("orders")
    world.say(
        "shopify", "orders", order(edited, 5, [line(1), line(2)]), order(cancelled, 5, cancelled_at=at(5)), order(new)
    )
    world.products(sku)
    for table in MET:
        with world.store.transaction() as connection:
            connection.execute(sa.text(f"lock table {table} in access exclusive mode"))
            process = start(world, "orders")
            assert until(lambda: select(world.store, STUCK), process), f"it went by {table}"
            kill(process)
        assert births(world, new) == [], table
    process = start(world, "orders")
    assert ended(process) == [0]
    assert births(world, edited) == [("upsert", "new", "replaced"), ("upsert", "changed", "due")]
    assert births(world, cancelled) == [("upsert", "new", "replaced")]
    assert births(world, waiting) == births(world, new) == [("upsert", "new", "due")]
    is_rebuilt_the_same(world)


def is_rebuilt_the_same(world: World) -> None:
    """Delete all that is settled, and settle everything that was ever said once more: not a row differs."""
    world.sync()
    disturbed = everything(world)
    before = select(world.store, "select count(*) from outbox")
    with world.store.transaction() as connection:
        connection.execute(sa.text("drop schema settled cascade"))
        connection.execute(sa.text("create schema settled"))
        connection.execute(sa.text("delete from settled_tables"))
    world.sync()
    assert select(world.store, "select count(*) from outbox") == before, "what was enqueued was enqueued again"
    for table, rows in everything(world).items():
        assert rows == disturbed[table], table


def test_a_sync_that_is_killed_between_enqueue_and_settle_enqueues_once(busy_world: World) -> None:
    world = busy_world
    number = world.number()
    world.say("shopify", "orders", order(number))
    unsettled = (
        "select batch_id from batches where entity = 'orders' and settled_at is null order by batch_id desc limit 1"
    )
    stuck = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%settled_at%'"
    known = select(world.store, unsettled)
    process = start(world, "orders")
    until(lambda: select(world.store, unsettled) != known)
    with world.store.transaction() as connection:
        connection.execute(sa.text(f"select * from batches where batch_id = ({unsettled}) for update"))
        assert until(lambda: select(world.store, stuck), process)
        kill(process)
    world.sync("orders")
    assert births(world, number) == [("upsert", "new", "due")]
    world.sync("orders", full=True)
    assert births(world, number) == [("upsert", "new", "due")]


def test_two_syncs_of_one_entity_take_turns(busy_world: World) -> None:
    world = busy_world
    first, second = world.number(), world.number()
    open_ = "select count(*) from batches where entity = 'orders'"
    before = select(world.store, open_)
    world.say("shopify", "orders", order(first))
    processes = [start(world, "orders"), start(world, "orders")]
    until(lambda: select(world.store, open_) != before)
    world.say("shopify", "orders", order(second))
    assert ended(*processes) == [0, 0]
    assert births(world, first) == births(world, second) == [("upsert", "new", "due")]
    turns = select(
        world.store,
        "select opened_at >= lag(settled_at) over (order by opened_at) from batches "
        "where entity = 'orders' and settled_at is not null order by opened_at desc limit 1",
    )
    assert turns == [True]


def test_syncs_of_different_entities_at_once_all_succeed(busy_world: World) -> None:
    world = busy_world
    for round_ in range(2):
        number = world.number()
        product = {"code": f"SKU-{number}", "name": "Tee", "list_price": "10.00", "salable": True, "active": True}
        world.say(
            "tryton", "products", {"id": number, **product, "write_date": at(0)}, by="poll", remote_id=f"{number}"
        )
        world.say("shopify", "orders", order(number))
        parcel(world, number)
        count(world, 50 + round_)
        processes = [start(world, entity) for entity in ("products", "orders", "fulfilments", "stock")]
        assert ended(*processes) == [0, 0, 0, 0]
        assert births(world, number) == [("upsert", "new", "due")]
        assert world.row(f"select sku from products where sku = 'SKU-{number}'")
        assert world.row(f"select order_number from fulfilments where fulfilment_number = '3PL-P{number}'")
        assert world.row("select on_hand from stock where sku = 'TEE'")["on_hand"] == 50 + round_
    world.sync("fulfilments", "sellable")  # the parcel may have been settled before its order
    verdict = world.row(f"select verdict from fulfilments_verdicts where key = '3PL-P{number}'")["verdict"]
    assert verdict == "applied"


def test_a_build_that_meets_another_writer_of_the_lake_is_built_again(
    busy_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world = busy_world
    world.compare("orders")
    lost: Callable[[], bool] = lambda: "it is built again" in caplog.text
    with other_writer(world, "reconcile_orders", until=lost):
        for _ in range(10):  # a build is a short target
            if not lost():
                world.compare("orders")
    assert lost()
    assert world.rows("select * from reconcile_orders") is not None


@contextmanager
def other_writer(world: World, table: str, until: Callable[[], bool]) -> Iterator[None]:
    """Somebody who builds a table of the lake, too, all the time, until it is so."""
    world.enter()
    is_over = threading.Event()

    def write_on() -> None:
        with duckdb.connect(config={"allow_unsigned_extensions": True}) as db:
            db.execute("load ducklake; load postgres")
            db.execute(f"attach 'ducklake:postgres:{attachment(world.store.url)}' as lake (metadata_schema 'lake')")
            while not (is_over.is_set() or until()):
                with suppress(duckdb.TransactionException):  # the build was first this time
                    db.execute(f"create or replace table lake.main.{table} as from lake.main.{table}")

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


def test_a_corrected_rule_lets_what_it_rejected_through_without_a_replay(busy_world: World, tmp_path: Path) -> None:
    world = busy_world
    number = world.number()
    credit = order(number, current_total_price="-5.00")
    world.say("shopify", "orders", credit)
    world.sync("orders")
    held = world.row(
        f"select held_because from wanted_orders where flow = 'orders_to_erp' and order_number = 'SHOP-{number}'"
    )["held_because"]
    assert held.startswith("total «-5.00» breaks the rule total >= 0")
    assert births(world, number) == []
    folder, project = tmp_path / "map", tmp_path / "dbt_project"
    shutil.copytree(Path("pipelines/map"), folder)
    shutil.copytree(PROJECT, project)
    orders = folder / "entities" / "orders.yaml"
    orders.write_text(orders.read_text().replace("rule: total >= 0 or", "rule: total >= -10 or"))
    corrected = load_map(folder)
    assert write(corrected, project) != []
    settled = sync(
        "orders", store=world.store, the_map=corrected, run_id="corrected", project=project, log=lambda _: None
    )
    assert settled.batch
    assert settled.batch.is_full
    assert births(world, number) == [("upsert", "new", "due")]
    again = sync("orders", store=world.store, the_map=corrected, run_id="again", project=project, log=lambda _: None)
    assert again.batch is None

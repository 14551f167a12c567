"""Real histories of others, read where CONCORD_REALDATA says they lie: nothing is lost, and every verdict has its reason."""

import csv
import json
import os
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.arrivals import poll
from pipelines.connectors import connector_for
from pipelines.map_schema import IntegrationMap
from resources.postgres import Server
from tests.fixtures_world import World, new_world

REALDATA = os.environ.get("CONCORD_REALDATA")
pytestmark = pytest.mark.skipif(not REALDATA, reason="CONCORD_REALDATA does not name a folder of real payloads")


def real_orders() -> list[dict[str, Any]]:
    """Every order of Shopify's documentation and of its Python client's fixtures."""
    shopify = Path(REALDATA or "") / "shopify"
    files = sorted(
        [*shopify.glob("rest_docs_examples_*/order__*"), *shopify.glob("rest_fixtures_python_api/order*.json")]
    )
    found = []
    for file in files:
        told = json.loads(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        body = told.get("body", told)
        found += [one for one in [*body.get("orders", []), body.get("order")] if isinstance(one, dict)]
    return found


@pytest.fixture(scope="module")
def shop(database_server: Server, tmp_path_factory: pytest.TempPathFactory, the_map: IntegrationMap) -> Iterator[World]:
    with new_world(database_server, tmp_path_factory.mktemp("real-shop"), the_map) as world:
        for told in real_orders():
            world.say("shopify", "orders", told, is_versioned="updated_at" in told, remote_id=str(told["id"]))
        world.sync("products", "orders", "customers")
        yield world


def test_every_real_order_is_canonical_or_quarantined_with_a_reason(shop: World) -> None:
    bodies = {json.dumps(told, sort_keys=True) for told in real_orders() if "updated_at" in told}
    without_clock = [told for told in real_orders() if "updated_at" not in told]
    kept = shop.row("select count(*) as n from landing_orders")["n"]
    assert len(bodies) <= kept <= len(bodies) + len(without_clock)
    judged = shop.rows("select inbox_id, verdict from orders_verdicts")
    assert len(judged) == kept
    reasons = shop.rows("select inbox_id, system, reason, steward, next_step from orders_quarantine")
    quarantined = {row["inbox_id"] for row in judged if row["verdict"] == "quarantined"}
    assert quarantined == {row["inbox_id"] for row in reasons}
    assert all(row["steward"] and row["next_step"] and row["reason"] for row in reasons)
    ids = {f"SHOP-{told['id']}" for told in real_orders() if told.get("updated_at")}
    canonical = {row["order_number"] for row in shop.rows("select order_number from orders")}
    rejected = {row["key"] for row in shop.rows("select key from orders_quarantine where is_rejected")}
    assert ids <= canonical | rejected


def test_every_real_customer_is_canonical_and_a_guest_is_no_problem(shop: World) -> None:
    told = {str(one["customer"]["id"]) for one in real_orders() if one.get("updated_at") and one.get("customer")}
    rows = shop.rows("select customer_number from customers")
    assert {row["customer_number"].removeprefix("SHOP-C") for row in rows} >= told
    judged = {row["inbox_id"]: row["verdict"] for row in shop.rows("select inbox_id, verdict from customers_verdicts")}
    guests = shop.rows("select inbox_id from landing_customers where payload ->> '$.customer.id' is null")
    assert {judged[row["inbox_id"]] for row in guests} == {"ignored"}
    for row in shop.rows("select reason, steward from customers_quarantine"):
        assert row["reason"]
        assert row["steward"]


def test_the_same_real_bodies_again_change_nothing(shop: World) -> None:
    before = shop.rows("select * from orders order by order_number")
    for told in real_orders():
        if told.get("updated_at"):
            assert shop.say("shopify", "orders", told, is_versioned=True, remote_id=str(told["id"])) == 0
    shop.sync("orders")
    assert shop.rows("select * from orders order by order_number") == before


@pytest.fixture(scope="module")
def retailer(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory, the_map: IntegrationMap
) -> Iterator[tuple[World, list[dict[str, str]]]]:
    """167 days of a real wholesaler's files, taken as the wholesale channel drops them."""
    files = sorted((Path(REALDATA or "") / "datasets/uci_online_retail_by_day").glob("*.csv"))
    drop = tmp_path_factory.mktemp("drop")
    (drop / "orders").mkdir()
    rows: list[dict[str, str]] = []
    for file in files:
        shutil.copy(file, drop / "orders" / file.name)
        os.utime(drop / "orders" / file.name, (1_600_000_000, 1_600_000_000))
        with file.open(newline="", encoding="utf-8") as opened:
            rows += csv.DictReader(opened)
    patch = pytest.MonkeyPatch()
    patch.setenv("WHOLESALE_SFTP_URL", f"file://{drop}")
    patch.setenv("WHOLESALE_SFTP_PASSWORD", "none")
    with new_world(database_server, tmp_path_factory.mktemp("real-lake"), the_map) as world:
        connector = connector_for(the_map.systems["wholesale"])
        for _ in range(2):  # the first look remembers, the second takes
            poll(world.store, the_map, "wholesale", "order_files", connector)
        world.products(*sorted({row["StockCode"] for row in rows}))
        world.sync("orders")
        yield world, rows
    patch.undo()


def test_the_books_of_a_real_wholesaler_balance_to_the_line(retailer: tuple[World, list[dict[str, str]]]) -> None:
    world, rows = retailer
    invoices = {row["InvoiceNo"] for row in rows}
    assert (len(rows), len(invoices)) == (245_903, 12_795)
    assert world.row("select count(*) as n from landing_orders")["n"] == len(invoices)
    told = world.row("select count(*) as n, sum(quantity * unit_price) as net from stg_order_lines")
    assert told["n"] == len(rows)
    assert told["net"] == sum(Decimal(row["Quantity"]) * Decimal(row["UnitPrice"]) for row in rows)
    canonical = world.row("select count(*) as n from order_lines where removed_at is null")["n"]
    rejected = world.row(
        "select count(*) as n from stg_order_lines join stg_orders using (inbox_id) where stg_orders.is_rejected"
    )["n"]
    assert canonical + rejected == len(rows)
    verdicts = world.verdicts("orders")
    assert sum(verdicts.values()) == len(invoices)
    print(f"verdicts {verdicts}; lines canonical {canonical}, rejected {rejected}")


def test_its_cancellations_and_negative_lines_are_told_apart(retailer: tuple[World, list[dict[str, str]]]) -> None:
    world, rows = retailer
    credits = {row["InvoiceNo"] for row in rows if row["InvoiceNo"].startswith("C")}
    cancelled = world.row("select count(*) as n from orders where status = 'cancelled'")["n"]
    refused = world.row(
        "select count(distinct key) as n from orders_quarantine where is_rejected and key like 'WHOLE-C%'"
    )["n"]
    assert len(credits) == 2_006
    assert cancelled + refused == len(credits)
    negative = [row for row in rows if int(row["Quantity"]) < 0 and not row["InvoiceNo"].startswith("C")]
    broken = world.row(
        "select count(*) as n from stg_order_lines where quantity < 0 and not is_credit and len(reasons) > 0"
    )["n"]
    assert broken == len(negative) == 758
    assert world.outbox("orders_to_erp") != []
    assert all(not row["key"].startswith("WHOLE-C") for row in world.outbox("orders_to_erp"))

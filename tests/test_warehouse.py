"""The sandbox's warehouse: what it tells over SFTP is what Concord reads, and what its clerk ships the ERP holds."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resources.connectors.connector import Delivery
from resources.connectors.files.outgoing import content_of, name_of
from resources.sandbox.catalogue import CATALOGUE
from resources.sandbox.clerk import Clerk
from resources.sandbox.tryton_desk import sale_of
from resources.sandbox.warehouse import PARTIAL, Warehouse, german, split
from resources.sandbox.wholesale import Wholesaler
from tests.connector_adapters import order_delivery
from tests.fixtures_sftp import Place
from tests.fixtures_tryton import RunningTryton, running_tryton

STREAMS: dict[str, dict[str, Any]] = {
    "stock_counts": {
        "glob": "counts/*.csv", "format": "csv", "delimiter": ";", "decimal": ",", "numbers": ["Bestand"],
        "encoding": "iso-8859-1",
    },
    "despatches": {"glob": "despatch/*.xml", "format": "xml", "row": "/despatch/parcel"},
    "returns": {
        "glob": "returns/*.csv", "format": "csv", "delimiter": ";", "decimal": ",", "numbers": ["Menge"],
        "encoding": "iso-8859-1", "one_message_per": "Eingang",
    },
}  # fmt: skip
NOW = 1_800_000_000.0  # a whole minute


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path / "books.sqlite", seed=1, delay=10, count_every=60)


@pytest.fixture
def own_tryton(tmp_path: Path) -> Iterator[RunningTryton]:
    """An ERP that nobody else sells from: the clerk ships whatever waits there."""
    with running_tryton(tmp_path / "tryton") as server:
        yield server


@pytest.fixture
def partner(sftp_place: Callable[[], Place]) -> Place:
    """The warehouse's own folder behind SFTP."""
    place = sftp_place()
    for folder in ("counts", "despatch", "returns"):
        (place.path / folder).mkdir()
    return place


def references(number: int) -> list[str]:
    return [f"SHOP-{index}" for index in range(number)]


def ordered(name: str, version: int, quantity: int, action: str = "upsert") -> tuple[str, bytes]:
    """A file as Concord drops an order for the 3PL, and its name."""
    lines = [{"line_id": "1", "sku": "MUG-BLU", "quantity": str(quantity), "ships_from": "3PL"}] if quantity else []
    told = Delivery(
        delivery_id=version, flow="orders_to_3pl", entity="orders", key=name, version=version, action=action,
        payload={"number": "#1", "city": "Köln", "lines": lines}, remote_id=None, idempotency_key=f"{name}/{version}",
    )  # fmt: skip
    return name_of(told, "orders", "csv"), content_of(told, "csv", ";")


def test_the_3pl_ships_what_it_is_sent_as_it_was_last_told_and_nothing_that_was_called_back(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    def drop(*told: tuple[str, bytes]) -> None:
        for name, content in told:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)

    drop(ordered("SHOP-1", 1, 2), ordered("SHOP-2", 1, 5), ordered("SHOP-3", 1, 1))
    assert warehouse.take_orders(tmp_path / "orders", NOW) == 3
    drop(ordered("SHOP-2", 2, 7), ordered("SHOP-3", 2, 0, "cancel"))
    warehouse.take_orders(tmp_path / "orders", NOW)
    assert warehouse.take_orders(tmp_path / "orders", NOW) == 0
    due = {reference: lines for reference, lines, _, _ in warehouse.due("3PL", NOW + 900)}
    assert due == {"SHOP-1": {"MUG-BLU": 2}, "SHOP-2": {"MUG-BLU": 7}}
    warehouse.finish("SHOP-1")
    drop(ordered("SHOP-1", 2, 9))
    warehouse.take_orders(tmp_path / "orders", NOW)
    assert [reference for reference, *_ in warehouse.due("3PL", NOW + 900)] == ["SHOP-2"], "what has left has left"


def test_carriers_scan_each_parcel_on_its_way_once_and_end_at_the_door(warehouse: Warehouse, partner: Place) -> None:
    (partner.path / "tracking").mkdir()
    for number in range(30):
        warehouse.carriers.take(f"T{number}", NOW)
        warehouse.carriers.take(f"T{number}", NOW + 1)
    told = sum(
        warehouse.carriers.tell(NOW + later, partner.url, partner.password or "") for later in (20, 40, 900, 950)
    )
    drop = partner.drop(tracking={"glob": "tracking/*.jsonl", "format": "jsonl"})
    scans = [json.loads(m.payload) for page in drop.changed_since("tracking", None) for m in page.messages]
    assert len(scans) == told
    last = {scan["tracking_number"]: scan["status"] for scan in sorted(scans, key=lambda scan: scan["occurred_at"])}
    assert last == {f"T{number}": "delivered" for number in range(30)}
    assert {"in_transit", "out_for_delivery", "delivery_failed"} < {scan["status"] for scan in scans}


@pytest.mark.parametrize("lines", [{"A": 1, "B": 1}, {"A": 5}, {"A": 2, "B": 1, "C": 9}])
def test_two_parcels_hold_together_what_one_would(lines: dict[str, int]) -> None:
    first, second = Counter(split(lines, 1, 2)), Counter(split(lines, 2, 2))
    assert first.total() > 0
    assert second.total() > 0
    assert first + second == Counter(lines)


def test_parcels_and_counts_reach_concord_as_they_left(warehouse: Warehouse, partner: Place) -> None:
    orders = {name: {"MUG-BLU": 2, "TEE-WHT-M": 1} for name in references(20)}
    assert warehouse.hear(orders, None, NOW, by_whom="3PL") == 20
    assert warehouse.unknown(orders) == []
    for second in range(5, 60, 5):  # all leave within a minute, some in two parcels
        if parcels := warehouse.due("3PL", NOW + second):
            warehouse.despatch(parcels, NOW + second)
    assert warehouse.count(NOW + 61) == "counts/stock_20270115T0901.csv"  # local time
    assert warehouse.send(partner.url, partner.password or "")
    assert warehouse.send(partner.url, partner.password or "") == []
    drop = partner.drop(**STREAMS)
    parcels_ = [json.loads(m.payload) for page in drop.changed_since("despatches", None) for m in page.messages]
    assert {parcel["order"] for parcel in parcels_} == set(orders)
    assert len(parcels_) == len({parcel["parcel"] for parcel in parcels_}) > 20
    assert len({parcel["tracking"] for parcel in parcels_}) == len(parcels_)
    left = Counter[str]()
    for parcel in parcels_:
        left += Counter({line["sku"]: int(line["quantity"]) for line in parcel["lines"]})
    assert left == {"MUG-BLU": 40, "TEE-WHT-M": 20}
    counted = {
        row["Artikel"]: row["Bestand"]
        for page in drop.changed_since("stock_counts", None)
        for row in (json.loads(message.payload) for message in page.messages)
    }
    opening = {sku: quantity // 2 for sku, _, _, quantity in CATALOGUE}
    assert counted == {sku: f"{quantity - left[sku]}.00" for sku, quantity in opening.items()}


def test_a_count_says_what_stood_there_at_its_minute_and_not_what_left_since(warehouse: Warehouse) -> None:
    (name,) = references(1)
    warehouse.hear({name: {"MUG-BLU": 1}}, None, NOW, by_whom="3PL")
    warehouse.despatch(warehouse.due("3PL", NOW + 90), NOW + 90)
    assert "MUG-BLU;Köln-Niehl;120,00" in warehouse._count_as_of(NOW + 60)
    assert "MUG-BLU;Köln-Niehl;119,00" in warehouse._count_as_of(NOW + 120)
    assert german(1234) == "1.234,00"


def test_a_kill_between_books_and_upload_sends_the_file_later(
    warehouse: Warehouse, tmp_path: Path, partner: Place
) -> None:
    (name,) = references(1)
    warehouse.hear({name: {"MUG-BLU": 1}}, None, NOW, by_whom="3PL")
    warehouse.despatch(warehouse.due("3PL", NOW + 90), NOW + 90)
    with pytest.raises(OSError, match=r"refused|failed"):
        warehouse.send("sftp://warehouse@127.0.0.1:1/", "x")
    again = Warehouse(tmp_path / "books.sqlite", seed=1, delay=10, count_every=60)
    assert again.hear({name: {"MUG-BLU": 1}}, None, NOW, by_whom="3PL") == 1
    assert again.due("3PL", NOW + 900) == []
    assert len(again.send(partner.url, partner.password or "")) == 1


def test_the_clerk_ships_in_full_and_in_two_parts_and_leaves_what_is_cancelled(
    own_tryton: RunningTryton, warehouse: Warehouse
) -> None:
    clerk = Clerk(own_tryton.rpc)
    mine = references(50)
    in_two = next(name for name in mine if warehouse._chance(name).random() < PARTIAL)
    names = [in_two, *[name for name in mine if name != in_two][:2]]
    own_tryton.connector.deliver([order_delivery(name, {"MUG-BLU": 2, "TEE-WHT-M": 1}) for name in names])
    (*others, cancelled) = names
    _, since = clerk.sales_since(None)
    sales, _ = clerk.sales_since(since)
    assert set(names) == set(sales)
    warehouse.hear(clerk.goods(list(sales.values())), since, NOW, by_whom="MAIN")
    own_tryton.connector.deliver([order_delivery(cancelled, {"MUG-BLU": 2, "TEE-WHT-M": 1}, action="cancel")])
    done = [sentence for later in (60, 120) for sentence in warehouse.work(clerk, NOW + later)]
    assert sum(f"shipped {in_two}, part 2 of 2" in sentence for sentence in done) == 1, done
    assert not any(cancelled in sentence for sentence in done), done
    assert {sale_of(own_tryton.rpc, name, "shipment_state")["shipment_state"] for name in others} == {"sent"}
    assert warehouse.due("MAIN", NOW + 9_999) == []


def test_the_wholesalers_day_follows_from_its_seed_and_survives_a_restart(tmp_path: Path) -> None:
    def days(state: Path, number: int) -> list[tuple[str, bytes]]:
        files = []
        for _ in range(number):
            wholesaler = Wholesaler(7, state)  # begun anew each day
            files.append(wholesaler.file())
            assert wholesaler.file() == files[-1]
            wholesaler.sent()
        return files

    files = days(tmp_path / "a.json", 30)
    assert files == days(tmp_path / "b.json", 30)
    text = b"".join(content for _, content in files).decode()
    invoices = {line.split(",")[0] for line in text.splitlines()} - {"InvoiceNo"}
    assert sum(number.startswith("C") for number in invoices) > 3
    assert len({number.lstrip("C") for number in invoices}) == len(invoices)
    assert ",,United Kingdom" in text  # sold over the counter
    assert len({name for name, _ in files}) == 30


def test_what_came_back_reaches_concord_as_one_message_a_parcel(warehouse: Warehouse, partner: Place) -> None:
    sku, other = CATALOGUE[0][0], CATALOGUE[1][0]
    held = dict(warehouse.books.execute("select sku, quantity from stock").fetchall())
    warehouse.take_in("SHOP-1", "SHOP-R7", {sku: (2, "A"), other: (1, "B")}, NOW)
    warehouse.send(partner.url, partner.password or "")
    (message,) = [m for page in partner.drop(**STREAMS).changed_since("returns", None) for m in page.messages]
    told = json.loads(message.payload)["rows"]
    assert [(row["Bestellung"], row["Retoure"], row["Artikel"], row["Menge"], row["Zustand"]) for row in told] == [
        ("SHOP-1", "SHOP-R7", sku, "2.00", "A"),
        ("SHOP-1", "SHOP-R7", other, "1.00", "B"),
    ]
    now = dict(warehouse.books.execute("select sku, quantity from stock").fetchall())
    assert (now[sku] - held[sku], now[other] - held[other]) == (2, 0), "what is torn goes on no shelf"

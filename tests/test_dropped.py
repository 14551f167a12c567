"""Files that we drop for partners: whole or not at all, found again, and harmless in a spreadsheet."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resources.connectors.connector import Delivery, Result, Unreachable
from resources.connectors.files.connector import Drop
from resources.connectors.files.folders import LocalFolder
from tests.fixtures_sftp import Place

LINES = [
    {"line_id": "1", "sku": "TEE", "title": '=HYPERLINK("x")', "quantity": "2"},
    {"line_id": "2", "sku": "MUG", "title": "Mug; blue", "quantity": "-1"},
]
ORDER = Delivery(
    delivery_id=1, flow="orders_to_3pl", entity="orders", key="SHOP-1/../2", version=3, action="upsert",
    payload={"number": "#1001", "city": "Orléans", "lines": LINES}, remote_id=None, idempotency_key="x/3",
)  # fmt: skip


@pytest.fixture
def place(sftp_place: Callable[[], Place]) -> Place:
    place = sftp_place()
    (place.path / "orders").mkdir()
    return place


def over(place: Place, **told: Any) -> Drop:
    """A connector that drops orders there."""
    drops = {"orders": {"folder": "orders", "format": "csv", "delimiter": ";", **told}}
    return place.drop().model_copy(update={"drops": drops})


def test_an_order_is_dropped_over_sftp_whole_and_is_found_again(place: Place) -> None:
    drop = over(place)
    assert [found.result for found in drop.find([ORDER])] == [Result.RETRY]
    for _ in range(2):  # the second time it is the same
        assert [told.result for told in drop.deliver([ORDER])] == [Result.APPLIED]
    assert [found.result for found in drop.find([ORDER])] == [Result.APPLIED]
    (file,) = (place.path / "orders").iterdir()
    assert file.name == "SHOP-1_.._2_0003_upsert.csv", "a key is no path"
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")), delimiter=";"))
    assert [(row["key"], row["version"], row["city"], row["line_sku"], row["line_quantity"]) for row in rows] == [
        ("SHOP-1/../2", "3", "Orléans", "TEE", "2"),
        ("SHOP-1/../2", "3", "Orléans", "MUG", "-1"),
    ]
    assert rows[0]["line_title"] == '\'=HYPERLINK("x")', "nothing that a spreadsheet would calculate"


def test_what_we_dropped_is_no_traffic_of_the_partners(place: Place) -> None:
    drop = over(place)
    drop.deliver([ORDER])
    for stranger in ("SHOP-1_upsert.csv", "complaints.txt"):
        (place.path / "orders" / stranger).write_text("?")
    assert drop.unclaimed() == ["orders/SHOP-1_upsert.csv", "orders/complaints.txt"]


def test_a_cancellation_is_a_file_of_its_own_without_lines(place: Place) -> None:
    cancelled = replace(ORDER, action="cancel", version=4, payload={"number": "#1001", "lines": []})
    over(place, format="json").deliver([cancelled])
    (file,) = (place.path / "orders").iterdir()
    assert file.name.endswith("_0004_cancel.json")
    assert json.loads(file.read_text()) == {
        "key": ORDER.key, "version": "4", "action": "cancel", "number": "#1001", "lines": [],
    }  # fmt: skip


def test_what_cannot_be_dropped_is_not_said_to_be(place: Place) -> None:
    (told,) = over(place, folder="nowhere").deliver([ORDER])
    assert told.result is Result.UNKNOWN
    assert "nowhere" in (told.reason or "")
    (told,) = place.drop().deliver([ORDER])
    assert told.result is Result.REFUSED
    assert "add drops: {orders:" in (told.reason or "")


def test_a_file_that_reads_otherwise_than_it_was_written_is_told_of(tmp_path: Path) -> None:
    class Forgetful(LocalFolder):
        def write(self, path: str, content: bytes) -> None:
            super().write(path, content[:-1])

    with pytest.raises(Unreachable, match=r"a.csv does not read as it was written"):
        Forgetful(str(tmp_path)).put("a.csv", b"whole")

"""A market of systems that hold what the test says, looked at and compared: what the tests of reconciliation share."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import PrivateAttr

from pipelines.language.schema import IntegrationMap
from pipelines.stages.batch import Settled
from pipelines.stages.prove import take_snapshot
from resources.connectors.connector import Connector, Message, Page, Unreachable
from resources.host.text import as_payload
from resources.store.store import Store
from tests.fixtures_world import World, at
from tests.wanting import select

Record = dict[str, Any]
Difference = tuple[str, str, str | None, str | None, str | None]  # key, kind, field, value here, value there
KEYS = {"orders": "order_number", "products": "sku", "sellable": "sku"}
LOOKS = [{"shopify": 30, "tryton": 60}, {"shopify": 20, "tryton": 20}]  # minutes since each look, turn by turn
PAGE = 7  # records on a page, so that a look at many takes several


class Outside(Connector):
    """A system that tells these pages when it is looked at, and then perhaps goes down."""

    goes_down: bool = False
    _pages: list[Page] = PrivateAttr(default_factory=list)

    def snapshot(self, stream: str) -> Iterator[Page]:
        yield from self._pages
        if self.goes_down:
            raise Unreachable("it went down")


def holding(stream: str, records: Sequence[Record], *, is_all: bool = True, goes_down: bool = False) -> Outside:
    """A system that holds these records of a stream, and says on its last page whether these are all."""
    bodies = [json.dumps(record).encode() for record in records]
    messages = [
        Message(stream, as_payload(body), body, remote_id=record["id"])
        for record, body in zip(records, bodies, strict=True)
    ]
    starts = range(0, max(len(messages), 1), PAGE)
    outside = Outside(goes_down=goes_down)
    outside._pages = [Page(messages[start : start + PAGE], is_last=is_all and start == starts[-1]) for start in starts]
    return outside


class Market(World):
    """A world whose systems are looked at before everything is settled, and compared after it."""

    def __init__(self, store: Store, folder: Path, the_map: IntegrationMap) -> None:
        super().__init__(store, folder, the_map)
        self.held: dict[tuple[str, str], dict[str, Record]] = defaultdict(dict)  # by system and stream, by id
        self.looks = list(LOOKS)

    @contextmanager
    def minutes_ago(self, minutes: float) -> Iterator[None]:
        """What is received inside was received so long ago."""
        known = select(self.store, "select coalesce(max(inbox_id), 0) from inbox")[0]
        yield
        self.write(
            "update inbox set received_at = now() - make_interval(secs => 60 * :ago) where inbox_id > :known",
            ago=minutes,
            known=known,
        )

    def write(self, sql: str, **values: Any) -> None:
        with self.store.transaction() as connection:
            connection.execute(sa.text(sql), values)

    def has(self, system: str, stream: str, *records: Record, told: float = 120) -> None:
        """The system holds these records, and told of them so many minutes ago."""
        with self.minutes_ago(told):
            for record in records:
                self.say(system, stream, record, by="poll", remote_id=record["id"])
                self.held[system, stream][record["id"]] = record

    def look(self, system: str, stream: str, *records: Record, told: float = 120, looked: float = 60) -> None:
        """Look at all that a system holds, so many minutes ago. What it had not told yet, it told `told` minutes ago."""
        with self.minutes_ago(told):
            assert take_snapshot(self.store, system, stream, holding(stream, records)) == len(records)
        self.write(
            "update snapshots set finished_at = now() - make_interval(secs => 60 * :ago) where snapshot_id = "
            "(select max(snapshot_id) from snapshots where system = :system and stream = :stream)",
            ago=looked,
            system=system,
            stream=stream,
        )

    def prove(self, *entities: str) -> None:
        """Settle, and compare as a run does."""
        super().sync(*entities)
        self.compare(*(entities or KEYS))

    def sync(self, *entities: str, full: bool = False) -> list[Settled]:
        """A turn of the laws."""
        ages = self.looks.pop(0)
        for (system, stream), records in self.held.items():
            self.look(system, stream, *records.values(), looked=ages[system])
        self.prove()
        return []

    def found(self, entity: str, n: int | None = None) -> list[Record]:
        """What the entity's reconciliation found, of a law's numbers or at all."""
        rows = self.rows(f"select {KEYS[entity]} as key, * from reconcile_{entity} order by all")
        return [row for row in rows if n is None or n <= int(re.findall(r"\d+", row["key"])[0]) < n + 1000]

    def differences(self, entity: str, n: int | None = None) -> set[Difference]:
        rows = self.found(entity, n)
        told = {(r["key"], r["kind"], r["field"], r["one_value"], r["other_value"]) for r in rows}
        assert len(told) == len(rows), "a difference was told twice"
        return told


def shop_order(number: int, total: str = "20.00", **more: Any) -> Record:
    """An order as the Admin API answers it."""
    money = {"shopMoney": {"amount": total}}
    told = {"id": f"gid://shopify/Order/{number}", "name": f"#{number}", "createdAt": at(-60), "updatedAt": at(0)}
    paid = {"cancelledAt": None, "displayFinancialStatus": "PAID", "currencyCode": "EUR"}
    return {**told, **paid, "currentTotalPriceSet": money, "lineItems": {"nodes": []}, **more}


def sale(number: int, total: str = "20.00", **more: Any) -> Record:
    """A sale of an order as the ERP tells it."""
    told = {"id": f"{number}", "number": f"S{number}", "reference": f"SHOP-{number}", "state": "confirmed"}
    return {**told, "currency": "EUR", "total_amount": total, "write_date": at(1), **more}


def product(sku: str, **more: Any) -> Record:
    """A product as the ERP tells it."""
    told = {"id": f"of {sku}", "code": sku, "name": "Product", "list_price": "10.00", "type": "goods", "salable": True}
    return {**told, "active": True, "write_date": at(0), **more}


def level(sku: str, available: int) -> Record:
    """How many of a SKU the storefront offers."""
    return {"id": f"{sku}@1", "sku": sku, "locationId": "1", "available": available, "updatedAt": at(1)}


def missing(key: str, where: str = "there") -> Difference:
    return (key, f"missing {where}", None, None, None)

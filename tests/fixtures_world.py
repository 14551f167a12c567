"""A small world a test: a fresh database, an empty lake, a map, and what systems say to it."""

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.language.schema import IntegrationMap, load_map
from pipelines.stages.batch import PROJECT, Settled
from pipelines.stages.compare import compare
from pipelines.stages.sync import sync
from resources.connectors.connector import Message
from resources.host.embedded_postgres import Server
from resources.host.text import as_payload
from resources.lake import lake
from resources.store.inbox import keep
from resources.store.store import Store
from tests.everything import Everything
from tests.fixtures_postgres import fresh_database

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class World:
    """What a test says and asks."""

    def __init__(self, store: Store, folder: Path, the_map: IntegrationMap, project: Path = PROJECT) -> None:
        self.store, self.folder, self.the_map, self.project = store, folder, the_map, project
        self.numbers = itertools.count(1)
        self.moment: datetime | None = None  # at which time-bound records are looked at; None for now
        self.known: set[str] = set()
        self.enter()

    def enter(self) -> None:
        """Let dbt and the commands see this world's database and lake."""
        os.environ["CONCORD_DATABASE_URL"] = self.store.url
        lake.prepare(self.store.url, str(self.folder))

    def number(self) -> int:
        """A number that no other test of this world uses."""
        return next(self.numbers)

    def say(self, system: str, stream: str, *payloads: dict[str, Any] | bytes, by: str = "webhook", **told: Any) -> int:
        """Put messages into the inbox as their arrival would; how many were new."""
        messages = []
        for payload in payloads:
            body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            messages.append(Message(stream, as_payload(body), body, **told))
        with self.store.transaction() as connection:
            return keep(connection, system=system, arrived_by=by, messages=messages)

    def note(self, entity: str, key: str, kind: str, **columns: Any) -> None:
        """Write the ledger as couriers and people do."""
        values = {"entity": entity, "key": key, "kind": kind, "by_whom": "person", **columns}
        names = ", ".join(values)
        with self.store.transaction() as connection:
            places = ", ".join(f":{name}" for name in values)
            connection.execute(sa.text(f"insert into ledger ({names}) values ({places})"), values)

    def sync(self, *entities: str, full: bool = False) -> list[Settled]:
        """Settle these entities, or all of them in the order of their needs."""
        self.enter()
        everyone = ("products", "orders", "fulfilments", "receipts", "stock", "sellable")
        return [
            sync(
                entity, store=self.store, the_map=self.the_map, run_id="test", full=full, project=self.project,
                log=lambda _: None, moment=self.moment,
            )
            for entity in entities or everyone
        ]  # fmt: skip

    def compare(self, *entities: str, project: Path | None = None) -> None:
        """Run the reconciliations and proofs of these entities over what is settled."""
        self.enter()
        compare(*entities, store=self.store, the_map=self.the_map, project=project or self.project)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Ask the lake."""
        with lake.reading(self.store.url, str(self.folder)) as db:
            Everything(self).show(db, sql)
            cursor = db.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, sql: str) -> dict[str, Any]:
        """The only row of an answer."""
        rows = self.rows(sql)
        assert len(rows) == 1, f"{len(rows)} rows for {sql}"
        return rows[0]

    def outbox(self, flow: str) -> list[dict[str, Any]]:
        """Every version of a flow, oldest first."""
        with self.store.transaction() as connection:
            found = connection.execute(
                sa.text(
                    "select key, version, action, reason, status, payload from outbox where flow = :flow order by delivery_id"
                ),
                {"flow": flow},
            )
            return [dict(row) for row in found.mappings()]

    def verdicts(self, entity: str) -> dict[str, int]:
        """How many messages of each verdict."""
        return {
            row["verdict"]: row["n"]
            for row in self.rows(f"select verdict, count(*) as n from {entity}_verdicts group by verdict")
        }

    def products(self, *skus: str) -> None:
        """Let the ERP tell of products, unless it has."""
        new = [sku for sku in skus if sku not in self.known]
        for sku in new:
            self.known.add(sku)
            product = {"id": len(self.known), "code": sku, "name": f"Product {sku}", "list_price": "10.00"}
            self.say("tryton", "products", {**product, "salable": True, "active": True, "write_date": at(-600)},
                     by="poll", remote_id=str(len(self.known)))  # fmt: skip
        if new:
            self.sync("products")


def at(minutes: float) -> str:
    """A moment that many minutes after noon, as Shopify writes it."""
    return (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line(
    number: int = 1, sku: str | None = "TEE", quantity: Any = 2, price: str = "10.00", **more: Any
) -> dict[str, Any]:
    """A line of an order as Shopify posts it."""
    told = {"id": number, "sku": sku, "title": f"Product {sku}", "quantity": quantity, "current_quantity": quantity}
    return {**told, "price": price, "tax_lines": [{"rate": 0.2, "price": "3.33"}], "discount_allocations": [], **more}


def order(
    number: int = 1, minutes: float = 0, lines: list[dict[str, Any]] | None = None, **more: Any
) -> dict[str, Any]:
    """An order as Shopify posts it, updated that many minutes after noon."""
    told: dict[str, Any] = {
        "id": number, "name": f"#{1000 + number}", "created_at": at(-60), "updated_at": at(minutes),
        "cancelled_at": None, "currency": "EUR", "financial_status": "paid", "total_price": "20.00",
        "current_total_price": "20.00", "current_total_tax": "3.33", "current_total_discounts": "0.00",
        "taxes_included": True, "email": f"customer{number}@example.com", "phone": None,
        "total_shipping_price_set": {"shop_money": {"amount": "0.00", "currency_code": "EUR"}},
        "shipping_address": {"name": "Ada Moreau", "address1": "1 Rue de Lyon", "address2": None, "city": "Paris",
                             "zip": "75012", "country_code": "FR"},
        "line_items": [line()] if lines is None else lines,
    }  # fmt: skip
    return {**told, **more}


@pytest.fixture(scope="session")
def the_map() -> IntegrationMap:
    return load_map()


@contextmanager
def new_world(server: Server, folder: Path, the_map: IntegrationMap, project: Path = PROJECT) -> Iterator[World]:
    """A world with a database and a lake of its own; `project` is the dbt project that was written from the map."""
    with fresh_database(server) as url:
        yield World(Store(url=url), folder, the_map, project)


@pytest.fixture(scope="module")
def world(
    database_server: Server, tmp_path_factory: pytest.TempPathFactory, the_map: IntegrationMap
) -> Iterator[World]:
    """One world for a module's tests: each speaks of records of its own, so that one lake serves them all."""
    with new_world(database_server, tmp_path_factory.mktemp("lake"), the_map) as world:
        yield world


@pytest.fixture
def fresh_world(database_server: Server, tmp_path: Path, the_map: IntegrationMap) -> Iterator[World]:
    """A world of the test's own."""
    with new_world(database_server, tmp_path / "lake", the_map) as world:
        yield world

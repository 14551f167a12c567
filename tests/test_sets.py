"""Models over sets: whatever is settled by slices and by the few words that still decide is what all that was ever said comes to."""

import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from tests.fixtures_world import NOON, World, at, line, order
from tests.test_stock_laws import count, erp_stock, parcel

SEEDS = range(3)
SKUS = [f"K{number}" for number in range(8)]
ORDER = ("products", "orders", "fulfilments", "receipts", "stock", "sellable", "prices", "selling_prices")
CAUSES = ("last_inbox_id", "last_received_at")  # of a model: what moved it last, which a rebuild cannot know
TABLES: dict[str, tuple[str, ...]] = {
    "open_commitments": (),
    "shipped_stock": (),
    "restocked_stock": (),
    "sellable": CAUSES,
    "agreed_prices": (),
    "list_currencies": (),
    "selling_prices": CAUSES,
    "selling_prices_conflicts": (),
    "stock": (),
    "stock_verdicts": (),
    "named_stock": (),
    "files_stock": (),
    "prices": (),
    "prices_verdicts": (),
    "products": (),
    "products_verdicts": (),
}


class Said:
    """What systems say at random about few records, so that what one says meets what another said."""

    def __init__(self, world: World, seed: int, known: list[str]) -> None:
        self.world, self.random, self.known = world, random.Random(seed), known
        self.numbers = iter(range(1, 10_000))

    @property
    def anything(self) -> list[Callable[[], Any]]:
        return [self.an_order, self.an_order, self.a_parcel, self.a_receipt, *self.of_prices, *self.of_stock]

    @property
    def of_stock(self) -> list[Callable[[], Any]]:
        return [self.a_count, self.a_file, self.a_product, self.an_inventory, self.a_decision]

    @property
    def of_prices(self) -> list[Callable[[], Any]]:
        return [self.a_price, self.a_price, self.a_contract, self.a_shown_price, self.a_delivery]

    def minutes(self) -> float:
        """Mostly later than what was said before, sometimes late."""
        return next(self.numbers) - self.random.choice([0, 0, 0, 30])

    def skus(self) -> list[str]:
        return self.random.sample(self.known, self.random.randint(1, min(3, len(self.known))))

    def an_order(self) -> None:
        number, minutes = self.random.randint(1, 6), self.minutes()
        lines = [line(number * 10 + n, sku, self.random.randint(1, 4)) for n, sku in enumerate(self.skus())]
        cancelled = at(minutes) if self.random.random() < 0.2 else None
        self.world.say("shopify", "orders", order(number, minutes, lines=lines, cancelled_at=cancelled))

    def a_parcel(self) -> None:
        number = self.random.randint(1, 5)
        shipped = [(sku, str(self.random.randint(1, 3))) for sku in self.skus()]
        told = {"parcel": f"P{number}", "order": f"SHOP-{self.random.randint(1, 6)}", "carrier": "DHL", "tracking": f"T{number}",
                "at": at(self.minutes()), "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in shipped]}  # fmt: skip
        self.world.say("warehouse", "despatches", told, by="file", file_name=f"despatch/{number}.xml",
                       file_occurrence=str(next(self.numbers)), row_number=1)  # fmt: skip

    def a_receipt(self) -> None:
        number = self.random.randint(1, 3)
        told = {
            "Bestellung": f"SHOP-{self.random.randint(1, 6)}",
            "Retoure": None,
            "Menge": "2",
            "Zeit": at(self.minutes()),
        }
        rows = [{**told, "Artikel": sku, "Zustand": self.random.choice("AB")} for sku in self.skus()]
        hour = f"{next(self.numbers) % 24:02}"
        self.world.say("warehouse", "returns", {"Eingang": f"R{number}", "rows": rows}, by="file", row_number=1,
                       file_name=f"returns/returns_20261120T{hour}00.csv", file_occurrence=str(next(self.numbers)))  # fmt: skip

    def a_count(self) -> None:
        for sku in self.skus():
            quantity = self.random.choice(["3", "8", "12", "many"])
            told = {
                "sku": sku,
                "location": self.random.choice(["MAIN", "STORE"]),
                "quantity": quantity,
                "as_of": at(self.minutes()),
            }
            self.world.say("tryton", "stock", told, by="poll", remote_id=f"{sku}@{told['location']}")

    def a_file(self) -> None:
        """A complete file: mostly of nearly all, sometimes of half, sometimes late, sometimes again."""
        left = [sku for sku in self.known if self.random.random() > self.random.choice([0.0, 0.1, 0.5])]
        moment = NOON + timedelta(hours=self.random.randint(0, 2) if self.random.random() < 0.4 else next(self.numbers))
        name = moment.strftime("%Y%m%dT%H%M")
        for row, sku in enumerate(left, start=1):
            told = {"Artikel": sku, "Lager": "HH", "Bestand": str(self.random.randint(0, 20))}
            self.world.say("warehouse", "stock_counts", told, by="file", file_name=f"counts/stock_{name}.csv",
                           file_occurrence=f"{name} {next(self.numbers)}", row_number=row)  # fmt: skip

    def a_price(self) -> None:
        number = self.random.randint(1, 9)
        day = lambda: self.random.choice([None, f"2026-11-{self.random.randint(15, 29)}"])
        told = {"id": str(number), "list": self.random.choice(["EU", "BASE"]), "sku": self.random.choice(self.known[:3]), "quantity": "1",
                "amount": self.random.choice(["5.00", "6.00", "free"]), "currency": self.random.choice(["EUR", "EUR", "USD"]),
                "tax_included": True, "start_date": day(), "end_date": day(), "write_date": at(self.minutes() - 600)}  # fmt: skip
        self.world.say("tryton", "price_lines", told, by="poll", remote_id=str(number))

    def a_contract(self) -> None:
        name, occurrence = f"2026-11-{self.random.randint(10, 28)}", str(next(self.numbers))
        for row, sku in enumerate(self.skus(), start=1):
            told = {"Contract": "C1", "CustomerID": "17850", "StockCode": sku, "MinQuantity": "1", "UnitPrice": "4.00",
                    "Currency": "GBP", "ValidFrom": "", "ValidTo": ""}  # fmt: skip
            self.world.say("wholesale", "contract_prices", told, by="file", row_number=row, file_name=f"prices/{name}.csv",
                           file_occurrence=f"{name} {occurrence}")  # fmt: skip

    def a_shown_price(self) -> None:
        sku, money = self.random.choice(self.known[:3]), self.random.choice(["5.00", "7.00"])
        told = {
            "id": f"EU/{sku}",
            "list": "EU",
            "sku": sku,
            "quantity": "1",
            "price": {"amount": money, "currencyCode": "EUR"},
        }
        self.world.say("shopify", "price_lists", told, by="poll", remote_id=told["id"])

    def a_product(self) -> None:
        number = self.random.randrange(len(self.known))
        told = {"id": number, "code": SKUS[number], "name": self.random.choice(["Tee", "Mug"]), "list_price": "1.00",
                "salable": True, "active": True, "write_date": at(self.minutes())}  # fmt: skip
        self.world.say("tryton", "products", told, by="poll", remote_id=str(number))

    def an_inventory(self) -> None:
        sku = self.random.choice(self.known)
        told = {
            "sku": sku,
            "available": str(self.random.randint(0, 9)),
            "reserved": "1",
            "updatedAt": at(self.minutes()),
        }
        self.world.say("shopify", "inventory", told, by="poll", remote_id=f"{sku}@1")

    def a_decision(self) -> None:
        key, kind = f"{self.random.choice(self.known)}|MAIN", self.random.choice(["decided", "revoked"])
        self.world.note("stock", key, kind, field="on_hand", value="4" if kind == "decided" else None)

    def a_delivery(self) -> None:
        sku = self.random.choice(self.known[:3])
        if self.random.random() < 0.5:
            self.world.note("sellable", sku, "delivered", system="shopify", value='{"sellable": "3"}')
        else:
            self.world.note("selling_prices", f"EU/{sku}", "delivered", system="shopify", value='{"amount": "5.00"}')


def standing(world: World, tables: Iterable[str] = TABLES) -> dict[str, list[dict[str, Any]]]:
    """The tables that models over sets are in, as they stand."""
    found = {}
    for table in tables:
        without = TABLES[table]
        but = f" exclude ({', '.join(without)})" if without else ""
        found[table] = world.rows(f"select *{but} from {table} order by all")
    return found


@pytest.fixture(params=SEEDS)
def seed(request: Any) -> int:
    return int(request.param)


def test_slices_come_to_what_everything_comes_to(fresh_world: World, seed: int) -> None:
    said = Said(fresh_world, seed, SKUS)
    count(fresh_world, "20261101T0000", *[(sku, "9") for sku in SKUS])
    erp_stock(fresh_world, SKUS[0], "5")
    parcel(fresh_world, "P9", "SHOP-1", 0, (SKUS[0], "1"))
    said.a_price()
    for day in range(8):
        fresh_world.moment = NOON + timedelta(days=day)
        for _ in range(said.random.randint(1, 8)):
            said.random.choice(said.anything)()
        fresh_world.sync(*ORDER)
    before = standing(fresh_world)
    fresh_world.sync(*ORDER, full=True)
    after = standing(fresh_world)
    for table, rows in before.items():
        assert rows == after[table], table
    assert all(before[table] for table in ("sellable", "selling_prices", "shipped_stock", "named_stock"))


def test_the_words_that_are_kept_come_to_what_all_words_come_to(fresh_world: World, seed: int) -> None:
    """Much is said of two records, so that nearly all of it is forgotten."""
    said = Said(fresh_world, seed, SKUS[:2])
    fresh_world.moment = NOON
    told = [table for table in TABLES if table.startswith(("stock", "prices", "products", "named", "files", "selling"))]
    entities = ("products", "stock", "prices", "selling_prices")
    for _ in range(30):
        for _ in range(said.random.randint(1, 3)):
            said.random.choice([*said.of_stock, *said.of_prices, *[said.a_file, said.a_shown_price] * 3])()
        fresh_world.sync(*entities)
    before = standing(fresh_world, told)
    with fresh_world.store.transaction() as connection:
        heard: int = connection.execute(sa.text("select count(*) from settled.stock_verdicts")).scalar_one()
        kept: int = connection.execute(sa.text("select count(*) from settled.witnesses_stock")).scalar_one()
    assert kept < heard, "something is forgotten"
    fresh_world.sync(*entities, full=True)
    after = standing(fresh_world, told)
    for table, rows in before.items():
        assert rows == after[table], table

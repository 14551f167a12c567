"""The warehouse of the sandbox: counts its stock, ships what it is sent, and plays the own warehouse's clerk.

Orders that are dropped for the 3PL it ships, and tells of each parcel in a despatch note over SFTP. What the ERP says is
its own a clerk of the own warehouse ships there. Everything follows from the seed and the order; a SQLite
file remembers what was promised and done, and a file to be sent stands there before it is sent, so that a kill neither
loses a parcel nor doubles one.
"""

import csv
import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

import asyncssh

from resources.connectors.connector import Unreachable
from resources.connectors.tryton.rpc import NoAnswer, Refused, Rpc
from resources.host import settings
from resources.sandbox.carriers import Carriers
from resources.sandbox.catalogue import CATALOGUE
from resources.sandbox.clerk import Clerk
from resources.sandbox.dropping import drop
from resources.sandbox.environment import sandbox_environment
from resources.sandbox.sftp import root

TICK = 3.0  # seconds between two looks at what is to be done
LOCAL = ZoneInfo("Europe/Berlin")  # its files carry local times without a zone
CARRIERS = {"DHL": "00340434{:012d}", "DPD": "0998{:010d}", "GLS": "{:011d}"}  # and their tracking numbers
PARTIAL = 0.2  # share of the orders of more than one piece that leave in two parcels
RESENT, CORRECTED = 0.1, 0.1  # share of the counts that are sent again as they were, or recounted under the same name
LOW, REFILL = 5, 60  # pieces: below the one, the other many are put on the shelf before the next count
SHORT_RETRY = 60.0  # seconds until the clerk tries a shipment again that lacks stock

TABLES = """
create table if not exists orders (
    reference text primary key, by_whom text not null, lines text not null, due_at real not null,
    part int not null, parts int not null, is_done int not null default 0
);
create index if not exists orders_due on orders (due_at) where not is_done;
create table if not exists stock (sku text primary key, quantity int not null);
create table if not exists despatched (at real not null, sku text not null, quantity int not null);
create table if not exists outgoing (name text primary key, content blob not null);
create table if not exists taken (name text primary key);
create table if not exists notes (name text primary key, value text not null);
"""


class Warehouse:
    """The 3PL and the clerk, and all that they remember."""

    def __init__(self, path: Path, *, seed: int, delay: float, count_every: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.seed, self.delay, self.count_every = seed, delay, count_every
        self.books = sqlite3.connect(path, isolation_level=None)
        self.books.executescript("pragma journal_mode = wal;" + TABLES)
        self.carriers = Carriers(self.books, seed=seed, pace=delay)
        with self.books:
            opening = [(sku, quantity // 2) for sku, _, _, quantity in CATALOGUE]
            self.books.executemany("insert into stock values (?, ?) on conflict do nothing", opening)

    # -- orders ------------------------------------------------------------------------------------------------------

    def unknown(self, references: Iterable[str]) -> list[str]:
        known = "select 1 from orders where reference = ?"
        return [reference for reference in references if not self.books.execute(known, (reference,)).fetchone()]

    def take_orders(self, folder: Path, now: float) -> int:
        """Plan what was dropped for the 3PL since, and forget what was called back; how many orders are new."""
        known = {name for (name,) in self.books.execute("select name from taken")}
        new = 0
        for path in sorted(path for path in folder.glob("*.csv") if path.name not in known):
            rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline=""), delimiter=";"))
            reference = rows[0]["key"]
            # what has left has left; what stands there still is packed anew, or put back
            self.books.execute("delete from orders where reference = ? and part = 1 and not is_done", (reference,))
            if rows[0]["action"] == "upsert":
                goods = Counter[str]()
                for row in rows:
                    goods[row["line_sku"]] += int(row["line_quantity"])
                new += self.hear({reference: dict(goods)}, None, now, by_whom="3PL")
            self.books.execute("insert into taken values (?)", (path.name,))
        return new

    def hear(self, goods: dict[str, dict[str, int]], since: str | None, now: float, *, by_whom: str) -> int:
        """Plan the orders that are new and hold something to ship; how many."""
        plans = []
        for reference, lines in goods.items():
            if not lines:
                continue
            chance = self._chance(reference)
            parts = 2 if sum(lines.values()) > 1 and chance.random() < PARTIAL else 1
            due_at = now + self.delay * chance.uniform(0.5, 1.5)
            plans.append((reference, by_whom, json.dumps(lines), due_at, 1, parts, 0))
        self.books.execute("begin")
        with self.books:
            self.books.executemany("insert into orders values (?, ?, ?, ?, ?, ?, ?) on conflict do nothing", plans)
            self._note("since", since)
        return len(plans)

    def due(self, by_whom: str, now: float) -> list[tuple[str, dict[str, int], int, int]]:
        """Reference, lines, part and parts of what should leave by now."""
        rows = self.books.execute(
            "select reference, lines, part, parts from orders"
            " where not is_done and by_whom = ? and due_at <= ? order by due_at limit 40",
            (by_whom, now),
        )
        return [(reference, json.loads(lines), part, parts) for reference, lines, part, parts in rows]

    def put_off(self, reference: str, until: float) -> None:
        self.books.execute("update orders set due_at = ? where reference = ?", (until, reference))

    def finish(self, reference: str) -> None:
        """Nothing more will be shipped for that order."""
        self.books.execute("update orders set is_done = 1 where reference = ?", (reference,))

    def go_on(self, reference: str, part: int, parts: int, now: float) -> None:
        """A part has left; the next one follows after another while."""
        if part == parts:
            self.finish(reference)
        else:
            later = now + self.delay * self._chance(reference, part).uniform(0.5, 1.5)
            self.books.execute(
                "update orders set part = ?, due_at = ? where reference = ?", (part + 1, later, reference)
            )

    # -- the 3PL's parcels and counts --------------------------------------------------------------------------------

    def despatch(self, parcels: list[tuple[str, dict[str, int], int, int]], now: float) -> int:
        """Put the parcels into one despatch note, take their goods off the shelf, and plan what follows."""
        notes, taken = [], []
        for reference, lines, part, parts in parcels:
            content = split(lines, part, parts)
            carrier, tracking = self._label(reference, part)
            self.carriers.take(tracking, now)
            notes.append(parcel_note(reference, part, carrier, tracking, now, content))
            taken += [(now, sku, quantity) for sku, quantity in content.items()]
        self.books.execute("begin")
        with self.books:
            if notes:
                name = f"despatch/despatch_{local(now):%Y%m%dT%H%M%S}_{parcel_number(parcels[0][0], parcels[0][2])}.xml"
                text = "<?xml version='1.0' encoding='UTF-8'?>\n<despatch>\n" + "".join(notes) + "</despatch>\n"
                self._send(name, text.encode())
            self.books.executemany("insert into despatched values (?, ?, ?)", taken)
            self.books.executemany(
                "update stock set quantity = max(0, quantity - ?) where sku = ?", [(q, sku) for _, sku, q in taken]
            )
            for reference, _, part, parts in parcels:
                self.go_on(reference, part, parts, now)
        return len(notes)

    def count(self, now: float) -> str | None:
        """Count the stock when it is time to: the name of the file that is to be sent."""
        if now < float(self._noted("next_count_at", "0")):
            return None
        chance = self._chance("count", int(now // 60))
        last_name, kind = self._noted("last_count_name", ""), chance.random()
        self.books.execute("begin")
        with self.books:
            if last_name and kind < RESENT:
                name, content = last_name, self._noted("last_count", "")
            elif last_name and kind < RESENT + CORRECTED:
                sku = chance.choice(CATALOGUE)[0]
                found = chance.choice([-2, -1, 1, 2, 3])
                self.books.execute("update stock set quantity = max(0, quantity + ?) where sku = ?", (found, sku))
                name, content = last_name, self._count_as_of(float(self._noted("last_count_as_of", "0")))
            else:
                as_of = now // 60 * 60  # names tell minutes: the count is as of the minute's beginning
                self.books.execute("update stock set quantity = quantity + ? where quantity < ?", (REFILL, LOW))
                name, content = f"counts/stock_{local(as_of):%Y%m%dT%H%M}.csv", self._count_as_of(as_of)
                self._note("last_count_as_of", str(as_of))
                self.books.execute("delete from despatched where at < ?", (as_of,))
            self._send(name, content.encode("iso-8859-1"))
            self._note("last_count_name", name)
            self._note("last_count", content)
            self._note("next_count_at", str(max(now + self.count_every, (now // 60 + 1) * 60)))  # a minute, a name
        return name

    def _count_as_of(self, moment: float) -> str:
        """The stock as it was then: what is on the shelf, and what has left it since."""
        later = Counter[str]()
        for sku, quantity in self.books.execute("select sku, quantity from despatched where at >= ?", (moment,)):
            later[sku] += quantity
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=";")
        writer.writerow(["Artikel", "Lager", "Bestand"])
        for sku, quantity in self.books.execute("select sku, quantity from stock order by sku"):
            writer.writerow([sku, "Köln-Niehl", german(quantity + later[sku])])
        return text.getvalue()

    def take_in(self, reference: str, return_number: str, goods: dict[str, tuple[int, str]], now: float) -> str:
        """Take in what came back of an order: SKU, pieces and condition, A where it goes on the shelf again; the file's name."""
        number = f"E{hashlib.sha256(f'{reference}/{return_number}/{now}'.encode()).hexdigest()[:10].upper()}"
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=";")
        writer.writerow(["Eingang", "Bestellung", "Retoure", "Artikel", "Menge", "Zustand", "Zeit"])
        for sku, (quantity, condition) in goods.items():
            at = f"{local(now):%Y-%m-%dT%H:%M:%S}"
            writer.writerow([number, reference, return_number, sku, german(quantity), condition, at])
        name = f"returns/returns_{local(now):%Y%m%dT%H%M%S}_{number}.csv"
        self.books.execute("begin")
        with self.books:
            self._send(name, text.getvalue().encode("iso-8859-1"))
            back = [(quantity, sku) for sku, (quantity, condition) in goods.items() if condition == "A"]
            self.books.executemany("update stock set quantity = quantity + ? where sku = ?", back)
        return name

    def send(self, url: str, password: str) -> list[str]:
        """Upload what stands ready. Raises OSError or asyncssh.Error, and then sends it again the next time."""
        waiting = dict(self.books.execute("select name, content from outgoing order by rowid").fetchall())
        if waiting:
            drop(url, password, waiting)
            self.books.executemany("delete from outgoing where name = ?", [(name,) for name in waiting])
        return list(waiting)

    # -- the clerk's round -------------------------------------------------------------------------------------------

    def ship(self, folder: Path, now: float) -> list[str]:
        """The 3PL's round: take what was dropped, despatch what is due; a sentence for each thing done."""
        done = []
        if new := self.take_orders(folder, now):
            done.append(f"the 3PL was sent {new} orders")
        if (ready := self.due("3PL", now)) and self.despatch(ready, now):
            done.append(f"the 3PL despatched {len(ready)} parcels")
        return done

    def work(self, clerk: Clerk, now: float) -> list[str]:
        """Hear of new sales, ship what is due; a sentence for each thing done. Raises Refused, NoAnswer or Unreachable."""
        done = []
        sales, since = clerk.sales_since(self._noted("since", "") or None)
        goods = clerk.goods([sales[reference] for reference in self.unknown(sales)])
        if new := self.hear(goods, since, now, by_whom="MAIN"):
            done.append(f"{new} new orders are to be shipped")
        for reference, _, part, parts in self.due("MAIN", now):
            shipments = clerk.waits(reference)
            if shipments is None:
                self.finish(reference)
                continue
            try:
                tracking = self._label(reference, part)[1]
                result = clerk.ship(shipments, tracking, is_partial=part < parts)
            except Refused as error:
                result = f"refused ({error})"
            if result == "shipped":
                self.carriers.take(tracking, now)
                self.go_on(reference, part, parts, now)
                done.append(f"the own warehouse shipped {reference}, part {part} of {parts}")
            elif result == "nothing":
                self.finish(reference)
            else:
                self.put_off(reference, now + SHORT_RETRY)
                done.append(f"the own warehouse could not ship {reference} yet: {result}")
        return done

    def _label(self, reference: str, part: int) -> tuple[str, str]:
        chance = self._chance(reference, part, "label")
        carrier = chance.choice(sorted(CARRIERS))
        return carrier, CARRIERS[carrier].format(chance.randrange(10**9))

    def _chance(self, *about: Any) -> random.Random:
        return random.Random(f"{self.seed}/{about}")

    def _send(self, name: str, content: bytes) -> None:
        self.books.execute("insert or replace into outgoing values (?, ?)", (name, content))

    def _note(self, name: str, value: str | None) -> None:
        if value is not None:
            self.books.execute("insert or replace into notes values (?, ?)", (name, value))

    def _noted(self, name: str, default: str) -> str:
        row = self.books.execute("select value from notes where name = ?", (name,)).fetchone()
        return str(row[0]) if row else default


def split(lines: dict[str, int], part: int, parts: int) -> dict[str, int]:
    """What goes into the first or the second of two parcels: of each SKU the smaller half, then the rest."""
    if parts == 1:
        return lines
    first = {sku: quantity // 2 for sku, quantity in lines.items()}
    if not any(first.values()):  # single pieces: one SKU leaves first
        first[next(iter(lines))] = 1
    content = first if part == 1 else {sku: quantity - first[sku] for sku, quantity in lines.items()}
    return {sku: quantity for sku, quantity in content.items() if quantity}


def parcel_number(reference: str, part: int) -> str:
    return f"P{hashlib.sha256(f'{reference}/{part}'.encode()).hexdigest()[:10].upper()}"


def parcel_note(reference: str, part: int, carrier: str, tracking: str, at: float, content: dict[str, int]) -> str:
    """A parcel as its despatch note tells it."""
    lines = "".join(
        f"      <line><sku>{escape(sku)}</sku><quantity>{quantity}</quantity></line>\n"
        for sku, quantity in content.items()
    )
    return (
        f"  <parcel>\n    <parcel>{parcel_number(reference, part)}</parcel>\n    <order>{escape(reference)}</order>\n"
        f"    <carrier>{carrier}</carrier>\n    <tracking>{tracking}</tracking>\n    <at>{local(at):%Y-%m-%dT%H:%M:%S}</at>\n"
        f"    <lines>\n{lines}    </lines>\n  </parcel>\n"
    )


def german(quantity: int) -> str:
    """A whole quantity as 1.234,00."""
    return f"{quantity:,}".replace(",", ".") + ",00"


def local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone(LOCAL)


def main() -> None:
    """Work until SIGTERM or SIGINT; pace by CONCORD_WAREHOUSE_DELAY and CONCORD_WAREHOUSE_COUNT_EVERY, in seconds."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    environment = sandbox_environment()
    url, password = environment["WAREHOUSE_SFTP_URL"], environment["WAREHOUSE_SFTP_PASSWORD"]
    hub = environment["PARCELHUB_SFTP_URL"], environment["PARCELHUB_SFTP_PASSWORD"]
    clerk = Clerk(Rpc(*(environment[f"TRYTON_{name}"] for name in ("URL", "DATABASE", "USER", "PASSWORD"))))
    warehouse = Warehouse(
        settings.state_dir() / "sandbox" / "warehouse" / "books.sqlite",
        seed=int(os.environ.get("CONCORD_TRAFFIC_SEED", "1")),
        delay=float(os.environ.get("CONCORD_WAREHOUSE_DELAY", "40")),
        count_every=float(os.environ.get("CONCORD_WAREHOUSE_COUNT_EVERY", "120")),
    )
    print("the warehouse works", flush=True)
    while not stop.wait(TICK):
        now = time.time()
        for sentence in warehouse.ship(root() / "warehouse" / "orders", now):
            print(sentence, flush=True)
        try:
            for sentence in warehouse.work(clerk, now):
                print(sentence, flush=True)
        except (Refused, NoAnswer, Unreachable) as error:
            print(f"the ERP cannot be asked now: {error}", flush=True)
        warehouse.count(now)
        try:
            for name in warehouse.send(url, password):
                print(f"sent {name}", flush=True)
            if scans := warehouse.carriers.tell(now, *hub):
                print(f"carriers told of {scans} scans", flush=True)
        except (OSError, asyncssh.Error) as error:
            print(f"files cannot be sent now: {error}", flush=True)


if __name__ == "__main__":
    main()

"""The wholesale channel of the sandbox: now and then it drops a day's orders as CSV, as its system exports them.

`python -m resources.sandbox.wholesale` goes on until it is told to stop; with `--drop FOLDER` it uploads that folder's
CSV files instead, and ends.
"""

import argparse
import csv
import io
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncssh

from resources.host import settings
from resources.sandbox.catalogue import CATALOGUE
from resources.sandbox.dropping import drop
from resources.sandbox.environment import sandbox_environment

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
CUSTOMERS = {  # their number and country; the number is exported as a float, as such systems do
    "14021.0": "United Kingdom", "14188.0": "United Kingdom", "14550.0": "Ireland", "15003.0": "Netherlands",
    "15127.0": "Germany", "15896.0": "France", "16240.0": "United Kingdom", "16777.0": "Sweden",
}  # fmt: skip
GBP_PER_EUR = Decimal("0.62")  # wholesale takes a third off, and keeps its prices in pounds
CONTRACTS = {"14021.0": "CONTRACT-14021", "14550.0": "CONTRACT-14550"}  # accounts whose prices are agreed in writing
CONTRACT_COLUMNS = (
    "Contract",
    "CustomerID",
    "StockCode",
    "MinQuantity",
    "UnitPrice",
    "Currency",
    "ValidFrom",
    "ValidTo",
)
EVERYBODY = {"": "WHOLESALE"}  # accounts without a contract
FIRST_INVOICE = 700_001
UPLOADS_AT_ONCE = 50
DAYS_BEHIND = 120  # its calendar begins in the past and runs faster than ours, and no order may stand in the future


class Wholesaler:
    """Writes one file a day of its own calendar, which runs as fast as its pace; each file follows from seed and day."""

    def __init__(self, seed: int, state: Path) -> None:
        self.seed = seed
        self.path = state
        known = json.loads(state.read_text()) if state.exists() else {}
        begin = datetime.now(UTC).date() - timedelta(days=DAYS_BEHIND)
        self.next_day = date.fromisoformat(known.get("next_day", begin.isoformat()))
        self.next_invoice: int = known.get("next_invoice", FIRST_INVOICE)
        self.past: list[list[str]] = known.get("past", [])  # a few invoices that may yet be cancelled, one line each

    def file(self) -> tuple[str, bytes]:
        """The name and content of the next day's file; the same until `sent` is called."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for row in self._rows():
            writer.writerow(row)
        return f"orders/{self.next_day.isoformat()}.csv", text.getvalue().encode()

    def contracts(self) -> tuple[str, bytes]:
        """The name and content of the file that tells every price of the channel and of its contracts, as agreed for this year
        and the last."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=";")
        writer.writerow(CONTRACT_COLUMNS)
        begin = date(datetime.now(UTC).year - 1, 1, 1)
        for account, contract in [*EVERYBODY.items(), *CONTRACTS.items()]:
            for sku, _, price, _ in CATALOGUE:
                writer.writerow([contract, account, sku, 1, wholesale_price(price), "GBP", begin.isoformat(), ""])
        return f"prices/{self.next_day.isoformat()}.csv", text.getvalue().encode()

    def sent(self) -> None:
        """The next day's file has arrived: go on to the day after."""
        rows = list(self._rows())
        self.past = [*self.past, *[row for row in rows if not row[0].startswith("C")]][-20:]
        self.next_invoice = max([self.next_invoice, *[int(row[0].lstrip("C")) + 1 for row in rows]])
        self.next_day += timedelta(days=1)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".tmp")
        unfinished.write_text(
            json.dumps({"next_day": self.next_day.isoformat(), "next_invoice": self.next_invoice, "past": self.past})
        )
        unfinished.replace(self.path)

    def _rows(self) -> Iterator[list[str]]:
        chance = random.Random(f"{self.seed}/{self.next_day}")
        opens = datetime.combine(self.next_day, datetime.min.time()) + timedelta(hours=8)
        number = self.next_invoice
        for _ in range(chance.randint(2, 5)):
            opens += timedelta(minutes=chance.randint(7, 90))
            customer, country = chance.choice(list(CUSTOMERS.items()))
            if chance.random() < 0.15:
                customer, country = "", "United Kingdom"  # sold over the counter
            if self.past and chance.random() < 0.2:
                cancelled = chance.choice(self.past)
                yield [f"C{number}", *cancelled[1:3], f"-{cancelled[3]}", f"{opens}", *cancelled[5:]]
            else:
                lines = [self._line(chance) for _ in range(chance.randint(1, 6))]
                if chance.random() < 0.1:
                    lines.append(lines[0])  # scanned twice
                for sku, title, quantity, price in lines:
                    yield [str(number), sku, title.upper(), str(quantity), f"{opens}", price, customer, country]
            number += 1

    @staticmethod
    def _line(chance: random.Random) -> tuple[str, str, int, str]:
        sku, title, price, _ = chance.choice(CATALOGUE)
        return (
            sku,
            title,
            chance.choice([1, 2, 3, 4, 6, 6, 12]),
            wholesale_price(price),
        )


def wholesale_price(price: str) -> str:
    """What a thing that costs so many euros costs wholesale."""
    return str((Decimal(price) * GBP_PER_EUR).quantize(Decimal("0.01")))


def drop_folder(url: str, password: str, folder: Path) -> int:
    """Upload every CSV file of a folder, in the order of their names; how many."""
    paths = sorted(folder.glob("*.csv"))
    for start in range(0, len(paths), UPLOADS_AT_ONCE):
        drop(
            url, password, {f"orders/{path.name}": path.read_bytes() for path in paths[start : start + UPLOADS_AT_ONCE]}
        )
    return len(paths)


def go_on(url: str, password: str) -> None:
    """Drop a day's file every so many seconds (CONCORD_WHOLESALE_EVERY) until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    every = float(os.environ.get("CONCORD_WHOLESALE_EVERY", "180"))
    seed = int(os.environ.get("CONCORD_TRAFFIC_SEED", "1"))
    wholesaler = Wholesaler(seed, settings.state_dir() / "sandbox" / "wholesale" / "state.json")
    next_at = time.monotonic() + min(every, 15.0)  # the first one soon, so that there is something to see
    while not stop.wait(max(0.0, next_at - time.monotonic())):
        next_at = time.monotonic() + every
        if wholesaler.next_day >= datetime.now(UTC).date():
            continue  # that day is not over
        name, content = wholesaler.file()
        try:
            drop(url, password, dict([wholesaler.contracts(), (name, content)]))
        except (OSError, asyncssh.Error) as error:
            print(f"wholesale could not drop {name}, and tries again in 5 s: {error}", flush=True)
            next_at = time.monotonic() + 5
            continue
        wholesaler.sent()
        print(f"wholesale dropped {name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The wholesale channel of the sandbox.")
    parser.add_argument("--drop", metavar="FOLDER", type=Path, help="upload this folder's CSV files instead, and end")
    arguments = parser.parse_args()
    environment = sandbox_environment()
    url, password = environment["WHOLESALE_SFTP_URL"], environment["WHOLESALE_SFTP_PASSWORD"]
    if arguments.drop is None:
        go_on(url, password)
        return
    try:
        count = drop_folder(url, password, arguments.drop)
    except (OSError, asyncssh.Error) as error:
        parser.exit(1, f"the files could not be dropped at {url}: {error}; is the sandbox running?\n")
    print(f"dropped {count} files at {url}orders")


if __name__ == "__main__":
    main()

"""The carriers of the sandbox: they scan each parcel on its way, and their hub drops what was seen, a file of scans at a time."""

import json
import random
import sqlite3
from datetime import UTC, datetime

from resources.sandbox.dropping import drop

WAY = ("in_transit", "out_for_delivery", "delivered")
FAILS = 0.1  # share of the parcels for which nobody opens the door the first time
TELL_EVERY = 20.0  # seconds between two files

TABLES = """
create table if not exists scans (
    tracking text not null, status text not null, due_at real not null, is_told int not null default 0,
    primary key (tracking, due_at)
);
create index if not exists scans_due on scans (due_at) where not is_told;
"""


class Carriers:
    """What is on its way, in the sandbox warehouse's books, so that a kill forgets no parcel."""

    def __init__(self, books: sqlite3.Connection, *, seed: int, pace: float) -> None:
        self.books, self.seed, self.pace = books, seed, pace
        self.told_at = 0.0
        books.executescript(TABLES)

    def take(self, tracking: str, now: float) -> None:
        """Plan the parcel's way; the same parcel twice is one."""
        chance = random.Random(f"{self.seed}/{tracking}")
        way = [*WAY[:-1], "delivery_failed", *WAY[1:]] if chance.random() < FAILS else list(WAY)
        if not self.books.execute("select 1 from scans where tracking = ?", (tracking,)).fetchone():
            for status in way:
                now += self.pace * chance.uniform(0.5, 1.5)
                self.books.execute("insert into scans values (?, ?, ?, 0)", (tracking, status, now))

    def tell(self, now: float, url: str, password: str) -> int:
        """Drop what was scanned by now; how many scans. Raises OSError or asyncssh.Error, and tells them the next time."""
        if now < self.told_at + TELL_EVERY:
            return 0
        rows = self.books.execute(
            "select tracking, status, due_at from scans where not is_told and due_at <= ? order by due_at", (now,)
        ).fetchall()
        if rows:
            name = f"tracking/scans_{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}.jsonl"
            drop(url, password, {name: "".join(map(scan, rows)).encode()})
            self.books.executemany(
                "update scans set is_told = 1 where tracking = ? and due_at = ?", [(row[0], row[2]) for row in rows]
            )
        self.told_at = now
        return len(rows)


def scan(row: tuple[str, str, float]) -> str:
    """A scan as the hub tells it: a line of JSON."""
    tracking, status, at = row
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return json.dumps({"tracking_number": tracking, "status": status, "occurred_at": moment}) + "\n"

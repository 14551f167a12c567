"""Whatever the order, the copies and the delays, the same messages settle to the same rows: only what was said counts."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pipelines.stages.sync import LIMITS
from resources.connectors.connector import Message
from resources.host.text import as_payload
from resources.store.inbox import keep
from tests.fixtures_world import World, at, line, order

HISTORIES = 30
COPIES = 12  # of each history that arrive within one build, each in an order of its own
ORDERINGS = 20  # of each history that arrive over several builds
BUILDS = 5
ABSENT = "absent"  # the key is not there at all
TABLES = ("orders", "order_lines", "orders_verdicts", "stg_orders", "stg_order_lines")

# What differs from one copy to the next by its nature: ids and times of our own inbox, and the number that tells copies apart.
OURS = ("order_number", "origin_remote_id", "lines_inbox_id", "winners", "last_inbox_id", "last_received_at")

WORDS: dict[str, list[Any]] = {
    "email": ["ada@example.com", "grace@example.com", "not an address", None, ABSENT],
    "phone": ["+33 1 44 55 66 77", "12", None, ABSENT],
    "current_total_price": ["20.00", "30.00", "10.005", "many", None, ABSENT],
    "current_total_tax": ["3.33", "99.00", None, ABSENT],
    "financial_status": ["pending", "paid", "paid", "refunded", "sort_of_paid", None],
    "cancelled_at": [None, None, None, at(3), at(-90), "never"],
    "currency": ["EUR", "EUR", "EUR", "JPY", "EURO", None],
    "updated_at": [ABSENT, None, "soon", "2126-01-01T00:00:00Z"],
    "created_at": [at(-60), at(-61), "2026-11-20T10:00:00+02:00", "yesterday", None],
    "shipping_address": [{"name": "Ada", "city": "Paris", "country_code": "FR", "zip": "75012"}, {"city": "Nowhere",
                         "country_code": "ZZ"}, {}, None, ABSENT],
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A message of a history. Its body leaves out which copy it belongs to, for equal times are settled by the body's hash."""

    system: str
    stream: str
    by: str
    content: dict[str, Any]

    @property
    def body(self) -> bytes:
        return json.dumps([self.stream, self.content], sort_keys=True).encode()

    def of(self, number: int) -> Message:
        """The message as one copy of the order is told of."""
        whose: dict[str, dict[str, Any]] = {
            "orders": {"id": number},
            "orders_deleted": {"id": number},
            "orders_read": {"id": f"gid://shopify/Order/{number}"},
            "sales": {"reference": f"SHOP-{number}", "id": number},
        }
        payload = json.dumps({**self.content, **whose[self.stream]}).encode()
        return Message(self.stream, as_payload(payload), self.body, remote_id=str(number))


minutes = st.integers(0, 4).map(at)  # few, so that times are often equal

one_line = st.builds(
    line,
    st.integers(1, 4),
    st.sampled_from(["TEE", "TEE", "TEE", "MUG", "MUG", "MUG", "UNHEARD-OF", None]),
    st.sampled_from([1, 2, 3, 0, 1, 2, 3, 4, 5, "1.5", -1, None]),
    st.sampled_from(["10.00", "10.00", "12.00", "0.0001", "9.99", "free"]),
)
sound = st.lists(one_line, max_size=3, unique_by=lambda one: one["id"])
lines = st.one_of(sound, sound, sound, st.lists(one_line, min_size=2, max_size=3))  # rarely two of one id


@st.composite
def webhook(draw: st.DrawFn) -> Told:
    """An order as posted: mostly sound, with a few of its words changed, broken, null or left out."""
    content = order(0, 0, draw(lines), updated_at=draw(minutes))
    content["total_price"] = content["current_total_price"]
    words = draw(st.lists(st.sampled_from(sorted(WORDS)), max_size=3, unique=True))
    content |= {word: draw(st.sampled_from(WORDS[word])) for word in words}
    return Told("shopify", "orders", "webhook", {k: v for k, v in content.items() if v is not ABSENT and k != "id"})


@st.composite
def read_back(draw: st.DrawFn) -> Told:
    """The same order as a poll reads it."""
    money = {"shopMoney": {"amount": draw(st.sampled_from(["20.00", "31.00"])), "currencyCode": "EUR"}}
    items = [
        {"id": f"gid://shopify/LineItem/{one['id']}", "sku": one["sku"], "title": one["title"],
         "currentQuantity": one["quantity"], "originalUnitPriceSet": money, "discountAllocations": [], "taxLines": []}
        for one in draw(lines)
    ]  # fmt: skip
    content = {
        "name": "#1000", "createdAt": at(-60), "updatedAt": draw(minutes), "currencyCode": "EUR",
        "displayFinancialStatus": draw(st.sampled_from(["PAID", "PENDING", "REFUNDED"])),
        "cancelledAt": draw(st.sampled_from([None, None, at(2)])), "currentTotalPriceSet": draw(st.sampled_from([money, None])),
        "lineItems": {"nodes": items},
    }  # fmt: skip
    return Told("shopify", "orders_read", "poll", content)


@st.composite
def sale(draw: st.DrawFn) -> Told:
    """What the ERP says of it."""
    content = {"number": draw(st.sampled_from(["S1", "S2", None])), "state": "confirmed", "currency": "EUR",
               "total_amount": draw(st.sampled_from(["20.00", "19.99"])), "write_date": draw(minutes)}  # fmt: skip
    return Told("tryton", "sales", "poll", content)


def posted(minutes: float, *lines: dict[str, Any], **words: Any) -> Told:
    content = order(0, minutes, list(lines), **words)
    del content["id"]
    return Told("shopify", "orders", "webhook", content)


PLAIN = [  # a history that meets what every merchant meets, whatever the others are
    posted(0, line(1), line(2)),
    posted(5, line(1), email="not an address"),
    posted(9, line(1, quantity="1.5")),
]
DELETED = Told("shopify", "orders_deleted", "webhook", {})


histories = st.lists(
    st.one_of(webhook(), webhook(), webhook(), webhook(), read_back(), sale(), st.just(DELETED)), min_size=1, max_size=8
)


@dataclass(frozen=True)
class Copy:
    """One order that is told one history, in an order and with repetitions of its own, cut into the builds in which it arrives."""

    history: int
    number: int
    parts: Sequence[Sequence[Told]]


def drawn(number: int) -> list[list[Told]]:
    """So many histories from this seed."""
    kept: list[list[Told]] = [PLAIN, [*PLAIN, DELETED]]

    @seed(number)
    @settings(max_examples=HISTORIES, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(histories)
    def collect(history: list[Told]) -> None:
        kept.append(history)

    collect()
    return kept


def shuffled(history: list[Told], dice: random.Random) -> list[Told]:
    """In another order, some of it repeated."""
    told = history + [one for one in history if dice.random() < 0.3]
    dice.shuffle(told)
    return told


def cut(told: list[Told], dice: random.Random) -> list[list[Told]]:
    """Into as many parts as there are builds; some are empty."""
    cuts = sorted(dice.randrange(len(told) + 1) for _ in range(BUILDS - 1))
    return [told[start:end] for start, end in zip([0, *cuts], [*cuts, len(told)], strict=True)]


def say(world: World, copies: list[Copy], build: int) -> None:
    """Tell every copy its part, the first message of each, then the second of each, and so on."""
    longest = max(len(copy.parts[build]) for copy in copies)
    for place in range(longest):
        told = defaultdict(list)
        for copy in copies:
            if place < len(copy.parts[build]):
                one = copy.parts[build][place]
                told[one.system, one.by].append(one.of(copy.number))
        for (system, by), messages in told.items():
            with world.store.transaction() as connection:
                keep(connection, system=system, arrived_by=by, messages=messages)


@dataclass(frozen=True)
class Played:
    """The world after the last build, and who was told what."""

    world: World
    seed: int
    histories: list[list[Told]]
    at_once: list[Copy]
    by_and_by: list[Copy]

    def rows_of(self, copy: Copy, rows: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """What was settled of a copy, without what tells copies apart."""
        plain = []
        for row in rows.get(f"SHOP-{copy.number}", []):
            row = {name: value for name, value in row.items() if name not in OURS}
            if row.get("deleted_at"):  # a deletion carries no time but that of its arrival
                row |= {"deleted_at": "deleted", "changed_at": None}
            if row.get("removed_at"):
                row |= {"removed_at": "removed"}
            plain.append(row)
        return plain

    def settled(self, table: str) -> dict[str, list[dict[str, Any]]]:
        """The rows of a table by order."""
        rows = defaultdict(list)
        for row in self.world.rows(f"select * from {table} order by all"):
            rows[row["order_number"]].append(row)
        return rows

    def unlike(self, history: int, mine: Any, expected: Any) -> str:
        """In what a copy differs from the first of its history, with the history and the seed that bring it again."""
        pairs: Iterator[tuple[dict[str, Any], dict[str, Any]]] = zip_longest(mine, expected, fillvalue={})
        differs = [{k: (a.get(k), b.get(k)) for k in {*a, *b} if a.get(k) != b.get(k)} for a, b in pairs]
        told = "\n".join(f"{one.system}/{one.stream} {json.dumps(one.content)}" for one in self.histories[history])
        return f"{differs}\nin history {history} of seed {self.seed}:\n{told}"


@pytest.fixture(scope="module")
def played(world: World) -> Played:
    number = random.getrandbits(32)
    print(f"histories of seed {number}")
    dice = random.Random(number)
    told = drawn(number)
    last = BUILDS - 1
    at_once, by_and_by = [], []
    for index, history in enumerate(told):
        for _ in range(COPIES):
            parts: list[list[Told]] = [[]] * last + [shuffled(history, dice)]
            at_once.append(Copy(index, world.number(), parts))
        for _ in range(ORDERINGS):
            by_and_by.append(Copy(index, world.number(), cut(shuffled(history, dice), dice)))
    world.products("TEE", "MUG")
    for build in range(BUILDS):
        say(world, at_once + by_and_by, build)
        world.sync("orders")
    return Played(world, number, told, at_once, by_and_by)


@pytest.mark.parametrize("table", ["orders", "order_lines"])
def test_shuffled_repeated_and_delayed_copies_settle_to_the_same_rows(played: Played, table: str) -> None:
    rows = played.settled(table)
    expected: dict[int, list[dict[str, Any]]] = {}
    for copy in played.at_once + played.by_and_by:
        mine = played.rows_of(copy, rows)
        first = expected.setdefault(copy.history, mine)
        if mine != first:
            pytest.fail(played.unlike(copy.history, mine, first))
    assert any(expected.values()), "no history settled to anything: the test proves nothing"


def test_the_drawn_histories_meet_every_kind_of_trouble(played: Played) -> None:
    orders = played.settled("orders")
    flagged = [row for rows in orders.values() for row in rows if row["flags"]]
    rejected = [row for rows in orders.values() for row in rows if row["rejected_since"]]
    deleted = [row for rows in orders.values() for row in rows if row["deleted_at"]]
    removed = [row for rows in played.settled("order_lines").values() for row in rows if row["removed_at"]]
    assert all((flagged, rejected, deleted, removed))


def test_the_books_balance_and_tell_every_copy_the_same(played: Played) -> None:
    verdicts = played.world.rows(
        "select inbox_id, key, verdict, body_hash from orders_verdicts join landing_orders using (inbox_id) order by all"
    )
    judged = [row["inbox_id"] for row in verdicts]
    assert len(judged) == len(set(judged))
    assert set(judged) == {row["inbox_id"] for row in played.world.rows("select inbox_id from landing_orders")}
    told: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in verdicts:
        told[row["key"]][row["body_hash"]].add(row["verdict"])
    expected: dict[int, dict[str, set[str]]] = {}
    for copy in played.at_once + played.by_and_by:
        mine = {
            body: said - {"superseded"} or said  # one of several equal messages wins, and which of them is no matter
            for body, said in told[f"SHOP-{copy.number}"].items()
        }
        first = expected.setdefault(copy.history, mine)
        if mine != first:
            pytest.fail(played.unlike(copy.history, [mine], [first]))


def test_many_builds_leave_what_one_build_of_everything_leaves(played: Played) -> None:
    before = {table: played.world.rows(f"select * from {table} order by all") for table in TABLES}
    played.world.sync("orders", full=True)
    for table, rows in before.items():
        now = played.world.rows(f"select * from {table} order by all")
        assert len(now) == len(rows), table
        for was, become in zip(rows, now, strict=True):
            assert become == was, f"{table}, seed {played.seed}"


def test_what_is_built_in_many_turns_is_what_is_built_at_once(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a rebuild of a million orders takes them, so that they fit in memory."""
    before = {table: played.world.rows(f"select * from {table} order by all") for table in TABLES}
    monkeypatch.setitem(LIMITS, "most", 300)
    [settled] = played.world.sync("orders", full=True)
    assert settled.batch
    assert settled.batch.turns > 4, "fewer than five turns prove little"
    for table, rows in before.items():
        assert played.world.rows(f"select * from {table} order by all") == rows, f"{table}, seed {played.seed}"

"""A rebuild in turns: the same rows as one batch after the other, nothing sent again, and one that was killed goes on."""

from typing import Any

import pytest

from pipelines.stages import rebuild, sync
from tests.fixtures_world import World, at, order

TABLES = ("orders", "order_lines", "orders_conflicts", "orders_verdicts", "wanted_orders", "orders_quarantine")


def tables(world: World) -> dict[str, list[dict[str, Any]]]:
    return {name: world.rows(f"select * from {name} order by all") for name in TABLES}


@pytest.fixture
def told(fresh_world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> World:
    """A world in which orders were told, changed, echoed, and are waited for, batch by batch."""
    monkeypatch.setenv("CONCORD_STATE", str(tmp_path / "state"))
    world = fresh_world
    world.products("TEE")
    for n in range(1, 13):
        world.say("shopify", "orders", order(n))
        if n % 3 == 0:
            world.sync("orders")
    world.say(
        "shopify", "orders", *(order(n, 5, total_price="30.00", current_total_price="30.00") for n in range(1, 5))
    )
    world.say("shopify", "orders", order(13, currency="XXY"))
    world.note("orders", "SHOP-2", "decided", field="note", value="careful")
    world.say("tryton", "sales", {"id": 1, "number": "1", "reference": "SHOP-1", "state": "confirmed", "currency": "EUR",
              "total_amount": "31.00", "write_date": at(9)}, by="poll", remote_id="1")  # fmt: skip
    world.sync("orders")
    return world


def test_a_rebuild_in_turns_gives_the_same_rows_and_sends_nothing(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before, outbox = tables(told), told.outbox("orders_to_erp")
    monkeypatch.setitem(sync.LIMITS, "most", 4)
    [settled] = told.sync("orders", full=True)
    assert settled.batch
    assert settled.batch.turns > 3
    assert tables(told) == before
    assert told.outbox("orders_to_erp") == outbox
    told.say("shopify", "orders", order(20))
    [settled] = told.sync("orders")
    assert settled.verdicts == {"applied": 1}


def test_a_rebuild_that_was_killed_goes_on_where_it_was(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(told)
    monkeypatch.setitem(sync.LIMITS, "most", 4)
    settle = rebuild.Rebuild._settle
    turns: list[int] = []

    def doomed(self: rebuild.Rebuild, batch: Any, turn: int) -> None:
        if len(turns) == 2:
            raise KeyboardInterrupt
        turns.append(turn)
        settle(self, batch, turn)

    monkeypatch.setattr(rebuild.Rebuild, "_settle", doomed)
    with pytest.raises(KeyboardInterrupt):
        told.sync("orders", full=True)
    assert tables(told) == before, "what stands goes on to stand"

    def watched(self: rebuild.Rebuild, batch: Any, turn: int) -> None:
        turns.append(turn)
        settle(self, batch, turn)

    monkeypatch.setattr(rebuild.Rebuild, "_settle", watched)
    told.sync("orders", full=True)
    assert sorted(turns) == sorted(set(turns)), "no turn is settled twice"
    assert tables(told) == before


def test_a_long_backlog_is_settled_in_batches_of_what_fits(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sync.LIMITS, "most", 4)
    told.say("shopify", "orders", *(order(n) for n in range(30, 41)))
    [settled] = told.sync("orders")
    assert settled.verdicts == {"applied": 11}
    assert settled.batch
    assert not settled.has_more
    assert settled.enqueued
    assert settled.enqueued.born == 11


def test_what_was_told_between_a_killed_rebuild_and_the_next_is_not_lost(
    told: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rebuild that goes on has read less than what was settled meanwhile."""
    monkeypatch.setitem(sync.LIMITS, "most", 4)
    settle = rebuild.Rebuild._settle
    turns: list[int] = []

    def doomed(self: rebuild.Rebuild, batch: Any, turn: int) -> None:
        if turns:
            raise KeyboardInterrupt
        turns.append(turn)
        settle(self, batch, turn)

    monkeypatch.setattr(rebuild.Rebuild, "_settle", doomed)
    with pytest.raises(KeyboardInterrupt):
        told.sync("orders", full=True)
    monkeypatch.setattr(rebuild.Rebuild, "_settle", settle)
    told.say("shopify", "orders", order(50))
    told.sync("orders")
    before = tables(told)
    told.sync("orders", full=True)
    told.sync("orders")
    assert tables(told) == before

"""Statuses go forth along their ladder: a step back is a conflict that is listed, unless the map lets it be taken back."""

from typing import Any

import pytest

from tests.fixtures_contract import ContractWorld
from tests.fixtures_world import World, at, line, order


@pytest.fixture(autouse=True)
def products(request: pytest.FixtureRequest) -> None:
    name = "contract" if "contract" in request.fixturenames else "world"
    request.getfixturevalue(name).products("TEE")


def post(world: World, n: int, minutes: float, **more: Any) -> None:
    world.say("shopify", "orders", order(n, minutes, [line(n)], **more), remote_id=str(n), is_versioned=True)


def status_of(world: World, n: int) -> str:
    return str(world.row(f"select status from orders where order_number = 'SHOP-{n}'")["status"])


def steps_back(world: World, n: int) -> list[tuple[str, str]]:
    """(what we hold, what the owner says now) of every step back, each with a steward and a time."""
    rows = world.rows(
        f"select * from orders_conflicts where order_number = 'SHOP-{n}' and on_foreign_write = 'forbidden'"
    )
    assert all(row["steward"] == "team:ecommerce" and row["seen_at"] and row["system"] == "shopify" for row in rows)
    return [(row["our_value"], row["value_now"]) for row in rows]


def test_a_status_that_its_owner_takes_back_is_a_conflict_and_no_change(world: World) -> None:
    post(world, 1, 0, financial_status="refunded")
    world.sync("orders")
    assert steps_back(world, 1) == []
    post(world, 1, 5, financial_status="pending")
    world.sync("orders")
    assert status_of(world, 1) == "refunded"
    assert steps_back(world, 1) == [("refunded", "placed")]
    post(world, 1, 9, financial_status="refunded")
    world.sync("orders")
    assert steps_back(world, 1) == [], "the owner came back to what we hold"


def test_a_late_word_is_no_step_back(world: World) -> None:
    post(world, 2, 5, financial_status="refunded")
    world.sync("orders")
    post(world, 2, 0, financial_status="paid")
    world.sync("orders")
    assert (status_of(world, 2), steps_back(world, 2)) == ("refunded", [])


def test_a_step_back_before_everything_was_settled_is_found_too(world: World) -> None:
    post(world, 3, 5, financial_status="paid")
    post(world, 3, 0, financial_status="refunded")
    world.sync("orders")
    assert (status_of(world, 3), steps_back(world, 3)) == ("refunded", [("refunded", "paid")])


def test_a_decision_ends_the_conflict_whichever_way_it_goes(world: World) -> None:
    for n, decided in ((4, "paid"), (5, "refunded")):
        post(world, n, 0, financial_status="refunded")
        post(world, n, 5, financial_status="paid")
        world.sync("orders")
        assert steps_back(world, n) == [("refunded", "paid")]
        world.note("orders", f"SHOP-{n}", "decided", field="status", value=decided)
        world.sync("orders")
        assert (status_of(world, n), steps_back(world, n)) == (decided, [])
        world.note("orders", f"SHOP-{n}", "revoked", field="status")
        world.sync("orders")
        assert (status_of(world, n), steps_back(world, n)) == ("refunded", [("refunded", "paid")])


def test_a_status_that_may_be_taken_back_is(contract: ContractWorld) -> None:
    post(contract, 6, 0, financial_status="paid")
    post(contract, 6, 5, cancelled_at=at(5))
    contract.sync("orders")
    assert status_of(contract, 6) == "cancelled"
    post(contract, 6, 9, financial_status="paid")
    contract.sync("orders")
    assert (status_of(contract, 6), steps_back(contract, 6)) == ("paid", [])
    verdicts = contract.rows("select verdict from orders_verdicts where key = 'SHOP-6' order by inbox_id")
    assert [row["verdict"] for row in verdicts] == ["superseded", "superseded", "applied"]
    post(contract, 6, 12, financial_status="pending")
    contract.sync("orders")
    assert (status_of(contract, 6), steps_back(contract, 6)) == ("paid", [("paid", "placed")])


def test_what_may_be_taken_back_settles_the_same_in_every_order(contract: ContractWorld) -> None:
    told = [(0, {}), (5, {"cancelled_at": at(5)}), (9, {"financial_status": "refunded"}), (12, {"cancelled_at": at(5)})]
    cases = {100: (4, "cancelled"), 200: (3, "refunded"), 300: (2, "cancelled")}
    for turn in range(len(told)):
        for n, (upto, _) in cases.items():
            for copy, order_of in enumerate((range(upto), range(upto - 1, -1, -1))):
                if turn < upto:
                    minutes, more = told[order_of[turn]]
                    post(contract, n + copy, minutes, **more)
        contract.sync("orders")
    for n, (_, expected) in cases.items():
        assert [status_of(contract, n), status_of(contract, n + 1)] == [expected, expected]

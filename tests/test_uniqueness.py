"""What one record alone may have: both who claim it are told of, the younger waits, and either side can mend it."""

import pytest

from tests.fixtures_contract import ContractWorld
from tests.fixtures_world import line, order


def place(world: ContractWorld, n: int, minutes: float, number: str) -> None:
    world.say("shopify", "orders", order(n, minutes, [line(n)], name=number), remote_id=str(n), is_versioned=True)


def settle(world: ContractWorld) -> None:
    while world.sync("orders")[0].batch:
        pass


def flags(world: ContractWorld, *numbers: int) -> dict[str, str]:
    keys = ", ".join(f"'SHOP-{n}'" for n in numbers)
    rows = world.rows(
        f"select key, reason, severity, steward from orders_flags where key in ({keys}) and reason like 'one_order%'"
    )
    assert {(row["severity"], row["steward"]) for row in rows} <= {("reject", "team:ecommerce")}
    return {row["key"]: row["reason"] for row in rows}


def held(world: ContractWorld, n: int) -> str | None:
    """Why the ERP is not told of this order. Every destination is kept from it alike."""
    rows = world.rows(f"select flow, held_because from wanted_orders where order_number = 'SHOP-{n}'")
    (found,) = (row["held_because"] for row in rows if row["flow"] == "orders_to_erp")
    assert {bool(row["held_because"]) for row in rows} == {bool(found)}
    return None if found is None else str(found)


def born(world: ContractWorld, n: int) -> int:
    return len([row for row in world.outbox("orders_to_erp") if row["key"] == f"SHOP-{n}" and row["status"] == "due"])


@pytest.mark.parametrize("mended", ["the younger", "the elder"])
def test_the_second_who_claims_a_value_waits_until_either_side_is_mended(contract: ContractWorld, mended: str) -> None:
    elder, younger = (10, 11) if mended == "the younger" else (20, 21)
    place(contract, elder, 0, f"#{elder}")
    settle(contract)
    place(contract, younger, 1, f"#{elder}")
    settle(contract)
    assert flags(contract, elder, younger) == {
        f"SHOP-{elder}": f"one_order_each: has the number #{elder}, currency EUR of SHOP-{younger}",
        f"SHOP-{younger}": f"one_order_each: has the number #{elder}, currency EUR of SHOP-{elder}",
    }
    assert held(contract, elder) is None
    assert (
        held(contract, younger)
        == f"one_order_each: has the number #{elder}, currency EUR of SHOP-{elder}; mend one of the two"
    )
    assert (born(contract, elder), born(contract, younger)) == (1, 0)
    place(contract, younger if mended == "the younger" else elder, 5, f"#{elder}B")
    settle(contract)
    assert flags(contract, elder, younger) == {}
    assert (held(contract, elder), held(contract, younger)) == (None, None)
    assert born(contract, younger) == 1


def test_an_elder_that_takes_the_value_of_a_younger_keeps_it(contract: ContractWorld) -> None:
    place(contract, 30, 0, "#30")
    place(contract, 31, 0, "#31")
    settle(contract)
    place(contract, 30, 5, "#31")
    settle(contract)
    assert (held(contract, 30), bool(held(contract, 31))) == (None, True)
    assert set(flags(contract, 30, 31)) == {"SHOP-30", "SHOP-31"}


def test_a_rebuild_holds_the_same(contract: ContractWorld) -> None:
    place(contract, 40, 0, "#40")
    place(contract, 41, 1, "#40")
    settle(contract)
    assert (held(contract, 40), bool(held(contract, 41))) == (None, True)
    question = "select order_number, flow, held_because from wanted_orders order by all"
    before = contract.rows(question)
    contract.sync("orders", full=True)
    assert contract.rows(question) == before

"""A set is a line, and its parts are lines, too: whoever adds up counts one of the two."""

from typing import Any

import pytest

from tests.fixtures_contract import ContractWorld
from tests.fixtures_world import line, order


def a_set(n: int, *, price: str, parts: tuple[str, ...], total: str, **more: Any) -> dict[str, Any]:
    """An order of one set, told with these prices of its parts."""
    untaxed = {"tax_lines": [{"rate": 0.0, "price": "0.00"}]}
    lines = [line(n * 10, "TEE", 1, price, parts=len(parts), **untaxed)]
    lines += [line(n * 10 + place, "TEE", 1, part, **untaxed) for place, part in enumerate(parts, start=1)]
    amounts = {"current_total_price": total, "total_price": total, "current_total_tax": "0.00", "shipping_lines": []}
    return order(n, 0, lines, **amounts, **more)


def off(told: str, by: str, due: str) -> list[str]:
    return [f"adds_up: total «{told}» is off by {by} from the {due} that it adds up to"]


ORDERS = {  # name: the order, and what it is warned of
    "a set and its priced parts are paid once": (a_set(1, price="30.00", parts=("10.00", "20.00"), total="30.00"), []),
    "a set that was paid with its parts is off by itself": (
        a_set(2, price="30.00", parts=("10.00", "20.00"), total="60.00"), off("60.00", "30.00", "30.00"),
    ),
    "a set whose price is broken keeps nobody from adding up its parts": (
        a_set(3, price="30.00", parts=("10.00",), total="12.00"), off("12.00", "2.00", "10.00"),
    ),
    "a set without parts adds nothing": (a_set(4, price="30.00", parts=(), total="30.00"), off("30.00", "30.00", "0.00")),
    "a set taxed unlike its parts adds no tax": (
        a_set(5, price="30.00", parts=("10.00", "20.00"), total="33.00") | {"taxes_included": False, "current_total_tax": "3.00"}, [],
    ),
    "a line that is no set counts": (order(6, 0, [line(60, "TEE", 2, "10.00")]), []),
}  # fmt: skip


@pytest.fixture(scope="module")
def told(contract: ContractWorld) -> dict[str, list[str]]:
    """What each order is warned of."""
    bodies = {name: body for name, (body, _) in ORDERS.items()}
    parent, *parts = bodies["a set taxed unlike its parts adds no tax"]["line_items"]
    parent["tax_lines"] = [{"rate": 0.2, "price": "6.00"}]
    for part in parts:
        part["tax_lines"] = [{"rate": 0.1, "price": "1.00"}]
    contract.say("shopify", "orders", *bodies.values())
    contract.sync("orders")
    found = contract.rows("select order_number, warnings from stg_orders")
    warnings = {row["order_number"]: row["warnings"] for row in found}
    return {name: warnings[f"SHOP-{body['id']}"] for name, body in bodies.items()}


@pytest.mark.parametrize("name", ORDERS)
def test_of_a_set_and_its_parts_one_counts(told: dict[str, list[str]], name: str) -> None:
    assert told[name] == ORDERS[name][1]

"""Whether lines, discounts, shipping, duties, tips and tax are the total: what is off is said, with by how much and why perhaps."""

import json
import random
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from resources.sandbox.shopify_orders import recount, rest_order
from resources.sandbox.traffic import order_content
from tests.fixtures_world import World, line, order
from tests.lockstep import laws_of, play

Steps = Generator[None]
CENT = Decimal("0.01")


def warnings_of(world: World, number: int) -> list[str]:
    """What the order's only message is warned of."""
    return world.row(f"select warnings from stg_orders where order_number = 'SHOP-{number}'")["warnings"]


def priced(n: int, *lines: tuple[int, str, str], **amounts: Any) -> dict[str, Any]:
    """An order of lines (quantity, price, rate of tax), without anything else unless it is told."""
    items = [
        line(n + place, "TEE", quantity, price, tax_lines=[{"rate": float(rate), "price": "0.00"}])
        for place, (quantity, price, rate) in enumerate(lines)
    ]
    nothing = {"taxes_included": False, "current_total_tax": "0.00", "shipping_lines": []}
    return order(n, 0, items, **{**nothing, **amounts})


def shipped_for(price: str, rate: str = "0") -> dict[str, Any]:
    """What shipping costs, and at which rate it is taxed."""
    return {
        "total_shipping_price_set": {"shop_money": {"amount": price, "currency_code": "EUR"}},
        "shipping_lines": [{"price": price, "tax_lines": [{"rate": float(rate), "price": "0.00"}]}],
    }


def law_everything_that_is_paid_for_is_added(world: World, n: int) -> Steps:
    duties = {"current_total_duties_set": {"shop_money": {"amount": "7.00"}}, "total_tip_received": "3.00"}
    told = priced(n, (2, "10.00", "0.2"), (1, "5.00", "0.1"), **shipped_for("4.00", "0.2"), **duties)
    world.say("shopify", "orders", {**told, "current_total_tax": "5.30", "current_total_price": "44.30"})
    yield
    assert warnings_of(world, n) == []


def law_a_total_that_is_off_is_told_by_how_much(world: World, n: int) -> Steps:
    world.say("shopify", "orders", priced(n, (2, "10.00", "0"), current_total_price="21.50"))
    yield
    assert warnings_of(world, n) == ["adds_up: total «21.50» is off by 1.50 from the 20.00 that it adds up to"]


def law_a_discount_off_the_gross_is_told_from_an_error_symptom_24(world: World, n: int) -> Steps:
    amounts = {"current_total_discounts": "20.00", "current_total_tax": "10.00", "current_total_price": "90.00"}
    world.say("shopify", "orders", priced(n, (1, "100.00", "0.1"), **amounts))
    right = amounts | {"current_total_tax": "8.00", "current_total_price": "88.00"}
    world.say("shopify", "orders", priced(n + 1, (1, "100.00", "0.1"), **right))
    wrong = amounts | {"current_total_tax": "8.00"}
    world.say("shopify", "orders", priced(n + 2, (1, "100.00", "0.1"), **wrong))
    yield
    because = "it fits if the discount is taken off after the tax"
    assert warnings_of(world, n) == [
        f"adds_up: tax_total «10.00» is off by 2.00 from the 8.00 that it adds up to; {because}"
    ]
    assert warnings_of(world, n + 1) == []
    assert warnings_of(world, n + 2) == [
        f"adds_up: total «90.00» is off by 2.00 from the 88.00 that it adds up to; {because}"
    ]


def law_tax_rounded_for_the_whole_is_told_from_an_error_symptom_25(world: World, n: int) -> Steps:
    lines = [(1, "0.12", "0.2")] * 100  # 0.024 a line: 2.00 line by line, 2.40 for the whole
    by_order = {"current_total_tax": "2.40", "current_total_price": "14.40"}
    world.say("shopify", "orders", priced(n, *lines, **by_order))
    world.say("shopify", "orders", priced(n + 200, *lines, current_total_tax="2.00", current_total_price="14.00"))
    world.say("shopify", "orders", priced(n + 400, *lines, current_total_tax="2.20", current_total_price="14.20"))
    yield
    fits = "adds_up: tax_total «2.40» is off by 0.40 from the 2.00 that it adds up to; it fits if the tax is rounded once for the whole"
    assert warnings_of(world, n) == [fits]
    assert warnings_of(world, n + 200) == []
    assert warnings_of(world, n + 400) == ["adds_up: tax_total «2.20» is off by 0.20 from the 2.00 that it adds up to"]


def law_net_prices_that_are_called_gross_are_named(world: World, n: int) -> Steps:
    amounts = {"taxes_included": True, "current_total_tax": "4.00", "current_total_price": "24.00"}
    world.say("shopify", "orders", priced(n, (2, "10.00", "0.2"), **amounts))
    gross = {"current_total_tax": "3.33", "current_total_price": "20.00"}
    world.say("shopify", "orders", priced(n + 1, (2, "10.00", "0.2"), **gross))
    yield
    assert warnings_of(world, n)[0].endswith("it fits if its prices do not include the tax")
    assert warnings_of(world, n + 1)[0].endswith("it fits if its prices include the tax")


def law_a_part_that_was_left_out_is_named(world: World, n: int) -> Steps:
    world.say("shopify", "orders", priced(n, (2, "10.00", "0"), current_total_price="20.00", **shipped_for("4.90")))
    less = {"current_total_discounts": "5.00", "current_total_price": "20.00"}
    world.say("shopify", "orders", priced(n + 1, (2, "10.00", "0"), **less))
    yield
    assert warnings_of(world, n)[0].endswith("it fits if shipping_total is not added")
    assert warnings_of(world, n + 1)[0].endswith("it fits if discount_total is not taken off")


def law_what_was_refunded_is_not_added_where_no_line_says_what_is_left(world: World, n: int) -> Steps:
    told = priced(n, (3, "10.00", "0"), current_total_price="10.00")
    del told["line_items"][0]["current_quantity"]
    parts = [{"line_item_id": n, "quantity": 1}, {"line_item_id": n + 1, "quantity": 5}]
    refunds = [{"refund_line_items": parts}, {"refund_line_items": parts[:1]}, {"refund_line_items": []}]
    world.say("shopify", "orders", {**told, "refunds": refunds})
    yield
    assert warnings_of(world, n) == []
    assert world.row(f"select quantity from order_lines where order_number = 'SHOP-{n}'")["quantity"] == 1


def law_an_order_that_tells_no_lines_is_not_added_up(world: World, n: int) -> Steps:
    told = priced(n, current_total_price="10.00")
    del told["line_items"]
    world.say("shopify", "orders", told)
    yield
    assert warnings_of(world, n) == []


def law_a_tax_without_rates_is_taken_at_its_word(world: World, n: int) -> Steps:
    told = priced(n, (1, "10.00", "0"), current_total_tax="1.23", current_total_price="11.23")
    told["line_items"][0]["tax_lines"] = []
    world.say("shopify", "orders", told)
    yield
    assert warnings_of(world, n) == []


def law_currencies_without_cents_are_near_by_whole_units(world: World, n: int) -> Steps:
    yen = {"currency": "JPY", "current_total_discounts": "0"}
    world.say("shopify", "orders", priced(n, (3, "333", "0"), **yen, current_total_price="1000", current_total_tax="0"))
    world.say("shopify", "orders", priced(n + 1, (3, "333", "0"), **yen, current_total_price="900"))
    yield
    assert warnings_of(world, n) == []
    assert warnings_of(world, n + 1) == ["adds_up: total «900» is off by -99 from the 999 that it adds up to"]


def law_what_is_cancelled_or_broken_is_not_added_up(world: World, n: int) -> Steps:
    off = {"current_total_price": "0.00"}
    world.say("shopify", "orders", priced(n, (2, "10.00", "0"), **off, cancelled_at="2026-11-20T12:00:00Z"))
    broken = priced(n + 1, (2, "10.00", "0"), **off)
    broken["line_items"][0]["price"] = "many"
    world.say("shopify", "orders", broken)
    world.say("shopify", "orders", priced(n + 2, (10**18 - 1, "9" * 20, "0"), current_total_price="9" * 20))
    yield
    assert warnings_of(world, n) == warnings_of(world, n + 1) == []
    assert warnings_of(world, n + 2)[0].startswith("adds_up: total ")


LAWS = laws_of(globals())


@pytest.fixture(scope="module")
def died(world: World) -> dict[str, BaseException]:
    world.products("TEE")
    return play(world, LAWS, "orders")


@pytest.mark.parametrize("law", LAWS)
def test_law(law: str, died: dict[str, BaseException]) -> None:
    if law in died:
        raise died[law]


def cents(amount: Decimal | int) -> Decimal:
    return Decimal(amount).quantize(CENT, ROUND_HALF_UP)


def reckoned(n: int, dice: random.Random) -> dict[str, Any]:
    """An order of up to 40 lines with a discount and shipping, reckoned in decimals as a careful sender does."""
    rate = dice.choice(["0", "0.05", "0.07", "0.19", "0.2", "0.255"])
    is_included = dice.random() < 0.5
    lines = [(dice.randint(1, 9), f"{dice.randint(1, 99_999) / 100:.2f}", rate) for _ in range(dice.randint(1, 40))]
    goods = [quantity * Decimal(price) for quantity, price, _ in lines]
    discount = cents(sum(goods) * Decimal(dice.choice(["0", "0", "0.1", "0.333"])))
    shipping = Decimal(dice.choice(["0.00", "4.90", "12.45"]))
    per = Decimal(rate) / (1 + Decimal(rate) if is_included else 1)
    taxed = [amount * (1 - discount / sum(goods)) for amount in goods]
    tax = sum((cents(amount * per) for amount in [*taxed, shipping]), Decimal(0))
    total = sum(goods) - discount + shipping + (0 if is_included else tax)
    amounts = {
        "taxes_included": is_included, "current_total_discounts": str(discount), "current_total_tax": str(tax),
        "current_total_price": str(total),
    }  # fmt: skip
    return priced(n, *lines, **amounts, **shipped_for(str(shipping), rate))


def test_what_a_careful_sender_reckons_adds_up(world: World, died: dict[str, BaseException]) -> None:
    seed = random.getrandbits(32)
    print(f"orders of seed {seed}")
    dice = random.Random(seed)
    numbers = [1_000_000 + 100 * n for n in range(400)]
    world.say("shopify", "orders", *(reckoned(number, dice) for number in numbers))
    world.sync("orders")
    keys = ", ".join(f"'SHOP-{number}'" for number in numbers)
    told = world.rows(f"select order_number, warnings from stg_orders where order_number in ({keys})")
    assert len(told) == len(numbers)
    assert [row for row in told if row["warnings"]] == []


def test_the_orders_of_the_sandbox_add_up(world: World, died: dict[str, BaseException]) -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    orders = []
    for n in range(1, 601):
        content = order_content(5, n)
        posted = rest_order(content, n=n, placed_at=start + timedelta(minutes=n))
        orders.append(posted)
        if n % 3 == 0:  # a unit of its first line is sent back
            edited = json.loads(json.dumps(posted))
            edited["line_items"][0]["current_quantity"] -= 1
            recount(edited)
            orders.append({**edited, "updated_at": (start + timedelta(days=1, minutes=n)).isoformat()})
    world.say("shopify", "orders", *orders)
    world.sync("orders")
    keys = ", ".join(f"'SHOP-{posted['id']}'" for posted in orders)
    told = world.rows(f"select order_number, warnings from stg_orders where order_number in ({keys})")
    assert len(told) == len(orders)
    assert [row for row in told if any("adds up to" in warning for warning in row["warnings"])] == []

"""Orders told in Tryton's terms: to the cent, and always the same customer. Nothing runs here but arithmetic."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.connectors.tryton.orders import Unsuitable, customer_of, day_of, lines_of, total_of
from resources.sandbox.shopify_orders import minor_units, recount, rest_order
from resources.sandbox.traffic import order_content


def as_wanted(order: dict[str, Any]) -> dict[str, Any]:
    """A storefront's order as the wanted row says it."""
    return {
        "order_number": order["name"],
        "currency": order["currency"],
        "total": order["current_total_price"],
        "discount_total": order["current_total_discounts"],
        "shipping_total": order["total_shipping_price_set"]["shop_money"]["amount"],
        "prices_include_tax": str(order["taxes_included"]).lower(),
        "lines": [
            {
                "line_id": str(line["id"]),
                "sku": line["sku"],
                "quantity": str(line["current_quantity"]),
                "unit_price": line["price"],
                "discount": str(sum(Decimal(part["amount"]) for part in line["discount_allocations"])),
                "tax_rate": str(sum(Decimal(str(tax["rate"])) for tax in line["tax_lines"])),
            }
            for line in order["line_items"]
        ],
    }


def test_every_lifelike_order_comes_to_its_total_also_after_an_edit() -> None:
    kinds = set()
    for n in range(1, 1001):
        content = order_content(11, n)
        order = rest_order(content, n=n, placed_at=datetime(2026, 3, 1, tzinfo=UTC))
        edits = [step for step in content["then"] if step["do"] == "edit"]
        for edit in [None, *edits]:
            if edit:
                order["line_items"][edit["line"]]["current_quantity"] = edit["quantity"]
                recount(order)
            digits = minor_units(order["currency"])
            lines = lines_of(as_wanted(order), digits)
            assert total_of(lines, digits) == Decimal(order["current_total_price"]), order["name"]
            rounding = [abs(line.unit_price) for line in lines if line.sku == "ROUNDING"]
            assert sum(rounding) <= 5 * Decimal(1).scaleb(-digits)
            kinds |= {(order["currency"], order["taxes_included"], bool(edit), bool(rounding))}
    assert len(kinds) > 12, "the orders are not as different as they should be"


@given(
    prices=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 99_999), st.sampled_from(["0", "0.05", "0.19", "0.2", "0.08875"])), min_size=1, max_size=6),
    off=st.integers(-3000, 3000).filter(lambda cents: abs(cents) > 60),
)  # fmt: skip
def test_a_total_that_the_lines_do_not_explain_is_never_rounded_away(
    prices: list[tuple[int, int, str]], off: int
) -> None:
    order: dict[str, Any] = {
        "currency": "EUR",
        "lines": [
            {"sku": f"S{index}", "quantity": str(quantity), "unit_price": str(Decimal(cents) / 100), "tax_rate": rate}
            for index, (quantity, cents, rate) in enumerate(prices)
        ],
    }
    honest = total_of(lines_of(order, 2), 2)
    assert all(line.sku != "ROUNDING" for line in lines_of(order | {"total": str(honest)}, 2))
    with pytest.raises(Unsuitable, match="but its total is"):
        lines_of(order | {"total": str(honest + Decimal(off) / 100)}, 2)


def test_a_discount_of_the_whole_order_and_of_shipping_finds_its_tax() -> None:
    order = {
        "currency": "EUR",
        "prices_include_tax": "true",
        "lines": [{"sku": "TEE", "quantity": "1", "unit_price": "23.80", "tax_rate": "0.19"}],
        "shipping_total": "4.76",
        "discount_total": "4.76",
        "total": "23.80",
    }
    assert [(line.sku, line.unit_price, line.rate) for line in lines_of(order, 2)] == [
        ("TEE", Decimal("20.0000"), Decimal("0.19")),
        ("SHIPPING", Decimal("4.0000"), Decimal("0.19")),
        ("DISCOUNT", Decimal("-4.0000"), Decimal("0.19")),
    ]


def test_shipping_without_tax_is_told_from_shipping_with_tax_by_the_total() -> None:
    order = {
        "currency": "USD",
        "lines": [{"sku": "TEE", "quantity": "1", "unit_price": "100", "tax_rate": "0.08"}],
        "shipping_total": "10",
    }
    rates = {total: lines_of(order | {"total": total}, 2)[1].rate for total in ("118.00", "118.80")}
    assert rates == {"118.00": Decimal(0), "118.80": Decimal("0.08")}


def test_a_customer_is_known_by_email_whatever_its_case_and_keeps_one_code() -> None:
    asked = [
        {"order_number": str(number), "email": email}
        for number, email in enumerate(("A@b.example", "a@B.EXAMPLE", " a@b.example "))
    ]
    assert len({customer_of(order).code for order in asked}) == 1
    guests = [customer_of({"order_number": number, "email": None}) for number in ("1", "2", "1")]
    assert guests[0] == guests[2]
    assert guests[0].code != guests[1].code


@pytest.mark.parametrize(
    ("placed_at", "zone", "day"),
    [
        ("2026-06-30T23:30:00Z", "Europe/Berlin", "2026-07-01"),
        ("2026-06-30T23:30:00Z", "Europe/London", "2026-07-01"),
        ("2026-01-31T23:30:00Z", "Europe/London", "2026-01-31"),
        ("2026-07-01T02:30:00Z", "America/New_York", "2026-06-30"),
        ("2026-03-01T00:30:00+02:00", "UTC", "2026-02-28"),
        ("2011-12-09T12:50:00", "Europe/Berlin", "2011-12-09"),
    ],
)
def test_an_order_is_of_the_day_that_it_is_where_the_books_are_kept_symptom_40(
    placed_at: str, zone: str, day: str
) -> None:
    assert str(day_of({"placed_at": placed_at}, "placed_at", ZoneInfo(zone))) == day


def test_an_order_without_a_time_has_no_day() -> None:
    assert day_of({}, "placed_at", ZoneInfo("UTC")) is None

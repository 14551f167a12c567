"""Refunds and returned goods in the ERP, on a real Tryton."""

import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

from resources.connectors.connector import Delivery, Outcome, Result
from resources.connectors.tryton.connector import Tryton
from resources.sandbox.tryton_desk import sale_of, ship, take_in
from tests.fixtures_tryton import RunningTryton
from tests.test_tryton import MUG, TEE, apply, line, order

numbers = itertools.count(1)


def sold(connector: Tryton, **said: Any) -> str:
    """An order of two T-shirts (24.90) and a mug (16.50) with 20 % tax, which comes to 79.56, in Tryton; its number."""
    wish = order(total="79.56", prices_include_tax="false", **said)
    assert apply(connector, wish).result is Result.APPLIED
    return str(wish["order_number"])


def refund(order_number: str, amount: str, *lines: dict[str, Any], **said: Any) -> Delivery:
    key = f"SHOP-{order_number}-{next(numbers)}"
    payload = {"refund_number": key, "order_number": order_number, "amount": amount, "currency": "EUR", "reason": None,
               "is_exchange": "false", "refunded_at": "2026-03-09T10:00:00.000000Z", "lines": list(lines), **said}  # fmt: skip
    return Delivery(
        next(numbers), "refunds_to_erp", "refunds", key, 1, "upsert", payload, None, f"refunds_to_erp/{key}/1"
    )


def goods(sku: str, quantity: str, subtotal: str, tax: str, restock: str = "returned") -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "subtotal": subtotal, "tax": tax, "restock": restock}


def give_back(connector: Tryton, wish: Delivery) -> Outcome:
    (outcome,) = connector.deliver([wish])
    return outcome


def notes_of(server: RunningTryton, wish: Delivery) -> list[tuple[str, Decimal]]:
    """State and worth of every credit note of a refund."""
    domain = [("reference", "=", f"REFUND {wish.key}")]
    rows = server.rpc.call("account.invoice.search_read", domain, 0, None, None, ["state", "total_amount"])
    return [(row["state"], row["total_amount"]) for row in rows]


def told(connector: Tryton, stream: str, word: str) -> list[dict[str, Any]]:
    pages = connector.snapshot(stream)
    return [json.loads(m.payload) for page in pages for m in page.messages if word in m.payload]


def test_a_refund_of_goods_is_a_posted_credit_note_over_the_same_money(tryton: RunningTryton) -> None:
    connector = tryton.connector
    number = sold(connector)
    wish = refund(number, "29.88", goods(TEE, "1", "24.90", "4.98"))
    assert give_back(connector, wish).result is Result.APPLIED
    assert notes_of(tryton, wish) == [("posted", Decimal("-29.88"))]
    assert give_back(connector, wish).result is Result.APPLIED
    assert notes_of(tryton, wish) == [("posted", Decimal("-29.88"))], (
        "it is credited once, however often it is asked for"
    )
    held = sale_of(tryton.rpc, f"REFUND {wish.key}", "lines.product.code", "lines.quantity", "shipment_returns")
    assert [(each["product."]["code"], each["quantity"]) for each in held["lines."]] == [(TEE, -1)]
    assert held["shipment_returns"] == [], "goods are booked where they come back"
    (note,) = told(connector, "credits", wish.key)
    assert (note["refund_number"], note["total_amount"], note["currency"]) == (wish.key, "29.88", "EUR")
    assert told(connector, "sales", f"REFUND {wish.key}") == []


@pytest.mark.parametrize(
    ("amount", "lines", "worth"),
    [
        ("5.00", (), "-5.00"),  # goodwill, without goods
        ("34.88", (goods(TEE, "1", "24.90", "4.98"),), "-34.88"),  # with the shipping
        ("25.00", (goods(TEE, "1", "24.90", "4.98"),), "-25.00"),  # less a fee
        ("7.77", (goods("GONE", "1", "6.48", "1.29"),), "-7.77"),  # its product is called otherwise by now
    ],
)
def test_a_credit_note_is_worth_what_went_back(
    tryton: RunningTryton, amount: str, lines: tuple[dict[str, Any], ...], worth: str
) -> None:
    connector = tryton.connector
    wish = refund(sold(connector), amount, *lines)
    assert give_back(connector, wish).result is Result.APPLIED
    assert notes_of(tryton, wish) == [("posted", Decimal(worth))]


def test_a_credit_note_in_dollars_whose_parts_are_not_its_sum_in_euros_is_posted(tryton: RunningTryton) -> None:
    connector = tryton.connector
    wish = refund(
        sold(connector, currency="USD"), "19.80", goods(MUG, "1", "16.50", "3.30"), currency="USD"
    )  # at 1.16 dollars for one euro 14.22 and 2.84, but 17.07
    assert give_back(connector, wish).result is Result.APPLIED
    assert notes_of(tryton, wish) == [("posted", Decimal("-19.80"))]


def test_an_exchange_credits_the_goods_and_not_the_difference(tryton: RunningTryton) -> None:
    connector = tryton.connector
    wish = refund(sold(connector), "10.08", goods(TEE, "1", "24.90", "4.98"), is_exchange="true")
    assert give_back(connector, wish).result is Result.APPLIED
    assert notes_of(tryton, wish) == [("posted", Decimal("-29.88"))]


def test_no_more_is_credited_than_was_sold(tryton: RunningTryton) -> None:
    connector = tryton.connector
    number = sold(connector)
    assert give_back(connector, refund(number, "70.00")).result is Result.APPLIED
    wish = refund(number, "10.00")
    outcome = give_back(connector, wish)
    assert outcome.result is Result.REFUSED
    assert outcome.reason == (
        f"refund {wish.key}: it would credit 10.00 EUR of order {number}, of whose 79.56 70.00 are credited already; "
        "find out which of its refunds was made twice"
    )
    assert notes_of(tryton, wish) == []


def test_a_refund_waits_for_its_sale_and_asks_nothing_of_a_cancelled_one(tryton: RunningTryton) -> None:
    connector = tryton.connector
    assert give_back(connector, refund("T-nobody", "5.00")).result is Result.RETRY
    wish = order(total="79.56", prices_include_tax="false")
    apply(connector, wish)
    apply(connector, wish, "cancel")
    late = refund(str(wish["order_number"]), "79.56")
    assert give_back(connector, late).result is Result.APPLIED
    assert notes_of(tryton, late) == []


def test_a_credit_whose_answer_was_lost_is_found_or_finished(tryton: RunningTryton) -> None:
    connector = tryton.connector
    wish = refund(sold(connector), "5.00")
    assert [outcome.result for outcome in connector.find([wish])] == [Result.RETRY]
    values = {"reference": f"REFUND {wish.key}", "invoice_method": "order", "shipment_method": "manual"}
    original = sale_of(tryton.rpc, wish.payload["order_number"], "party", "invoice_address", "currency", "warehouse")
    made = {name: original[name] for name in ("party", "invoice_address", "currency", "warehouse")}
    service = connector.records.products({"DISCOUNT"})["DISCOUNT"]
    piece = {"product": service.product, "unit": service.unit, "quantity": 1.0, "unit_price": Decimal("-5.0000")}
    described = {
        "description": f"Credit of order {wish.payload['order_number']}",
        "shipment_address": original["invoice_address"],
    }
    tryton.rpc.call(
        "sale.sale.create", [{**tryton.rpc.context, **made, **values, **described, "lines": [("create", [piece])]}]
    )
    assert [outcome.result for outcome in connector.find([wish])] == [Result.RETRY], "a draft is no credit yet"
    assert give_back(connector, wish).result is Result.APPLIED
    assert notes_of(tryton, wish) == [("posted", Decimal("-5.00"))]
    assert [outcome.result for outcome in connector.find([wish])] == [Result.APPLIED]


def test_what_came_back_is_told_with_what_lies_on_the_shelf_again(tryton: RunningTryton) -> None:
    connector = tryton.connector
    number = sold(connector)
    ship(tryton.rpc, number, tracking="T1")
    take_in(tryton.rpc, f"{number} SHOP-R1", {TEE: 2, MUG: 1}, damaged=[MUG])
    (parcel,) = told(connector, "returned_shipments", f'"{number}"')
    assert (parcel["order_number"], parcel["return_number"]) == (number, "SHOP-R1")
    assert parcel["lines"] == [
        {"sku": MUG, "quantity": "1", "restocked": "0"},
        {"sku": TEE, "quantity": "2", "restocked": "2"},
    ]


def test_goods_taken_in_exchange_are_added_to_a_sale_that_has_left(tryton: RunningTryton) -> None:
    connector = tryton.connector
    wish = order(total="79.56", prices_include_tax="false")
    apply(connector, wish)
    ship(tryton.rpc, str(wish["order_number"]), tracking="T1")
    more = {**wish, "total": "99.36", "lines": [*wish["lines"], line("3", MUG, "1", "16.50")]}
    assert apply(connector, more).result is Result.APPLIED
    held = sale_of(tryton.rpc, str(wish["order_number"]), "total_amount", "shipments.state", "lines.quantity")
    assert held["total_amount"] == Decimal("99.36")
    assert sorted(each["state"] for each in held["shipments."]) == ["done", "waiting"]

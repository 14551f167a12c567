"""Price lists of the ERP, on a real Tryton."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from resources.connectors.connector import Message
from resources.connectors.tryton.prices import price_of
from tests.fixtures_tryton import RunningTryton


def told(messages: list[Message]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Lines by list, SKU and quantity."""
    lines = [json.loads(message.payload) for message in messages]
    return {(line["list"], line["sku"], line["quantity"]): line for line in lines}


def test_the_lines_of_price_lists_are_told_in_the_currency_of_their_company(tryton: RunningTryton) -> None:
    pages = list(tryton.connector.snapshot("price_lines"))
    lines = told([message for page in pages for message in page.messages])
    assert pages[-1].is_last
    dollars, dozen = lines["US", "TEE-WHT-M", "1"], lines["B2B-NORDWIND", "TEE-WHT-M", "50"]
    assert (dollars["amount"], dollars["currency"]) == ("28.9", "USD")
    assert (dozen["amount"], dozen["currency"], dozen["formula"]) == ("17.43", "EUR", "list_price * 0.7")
    assert lines["B2B-NORDWIND", "TEE-WHT-M", "1"]["amount"] == "19.92"


def test_a_line_that_changes_is_told_again_with_the_days_on_which_it_is_valid(tryton: RunningTryton) -> None:
    connector = tryton.connector
    cursor = [page.cursor for page in connector.changed_since("price_lines", None)][-1]
    assert not connector.has_changed("price_lines", cursor)
    [line] = tryton.rpc.call("product.price_list.line.search", [("product.code", "=", "MUG-BLU"), ("price_list.name", "=", "B2B-NORDWIND")], 0, 1, None)  # fmt: skip
    tryton.rpc.call("product.price_list.line.write", [line], {"formula": "11.90", "end_date": date(2026, 12, 31)})
    pages = list(connector.changed_since("price_lines", cursor))
    changed = told([message for page in pages for message in page.messages])["B2B-NORDWIND", "MUG-BLU", "1"]
    assert (changed["amount"], changed["start_date"], changed["end_date"]) == ("11.9", None, "2026-12-31")


def test_a_whole_list_that_is_put_away_ends_its_lines(tryton: RunningTryton) -> None:
    [product] = tryton.rpc.call("product.product.search", [("code", "=", "VAS-GLA")], 0, 1, None)
    values = {
        "name": "OUTLET",
        "unit": "product_default",
        "price": "list_price",
        "company": tryton.rpc.context["company"],
    }
    line = ("create", [{"product": product, "formula": "list_price"}])
    [outlet] = tryton.rpc.call("product.price_list.create", [{**values, "lines": [line]}])
    cursor = [page.cursor for page in tryton.connector.changed_since("price_lines", None)][-1]
    tryton.rpc.call("product.price_list.write", [outlet], {"active": False})
    pages = list(tryton.connector.changed_since("price_lines", cursor))
    put_away = told([message for page in pages for message in page.messages])["OUTLET", "VAS-GLA", "1"]
    assert (put_away["active"], put_away["amount"]) == (False, "42")


@pytest.mark.parametrize(
    ("formula", "price"),
    [
        ("19.90", "19.9000"),
        ("Decimal('19.90')", "19.9000"),
        ("list_price * 0.85 - 1", "20.1650"),
        ("(list_price + cost_price) / 2", "16.4500"),
        ("-list_price", "-24.9000"),
        ("unit_price * 0.9", None),
        ("cost_price / 0", None),
        ("list_price ** 2", None),
        ("max(list_price, 10)", None),
        ("list_price if list_price else 1", None),
        ("list_price *", None),
    ],
)
def test_a_formula_is_reckoned_or_says_nothing(formula: str, price: str | None) -> None:
    values = {"list_price": Decimal("24.90"), "cost_price": Decimal("8.00"), "unit_price": None}
    assert price_of(formula, values) == (None if price is None else Decimal(price))


def test_a_party_is_told_with_the_price_list_it_buys_by_and_again_when_that_changes(tryton: RunningTryton) -> None:
    connector = tryton.connector
    pages = list(connector.changed_since("parties", None))
    told = [json.loads(message.payload) for page in pages for message in page.messages]
    [buyer] = [party for party in told if party["name"] == "Nordwind Handel GmbH"]
    assert buyer["price_list"] == "B2B-NORDWIND"
    assert {party["price_list"] for party in told if party is not buyer} <= {None}
    tryton.rpc.call("party.party.write", [int(buyer["id"])], {"sale_price_list": None})
    again = [
        json.loads(one.payload)
        for page in connector.changed_since("parties", pages[-1].cursor)
        for one in page.messages
    ]
    assert [(party["id"], party["price_list"]) for party in again] == [(buyer["id"], None)]

"""Customers of the shop: what they said of being written to, and what the shop takes of us about them."""

import json
from itertools import count
from typing import Any

from resources.connectors.connector import Delivery, Outcome, Result
from tests.fixtures_shopify import ShopifyMock

NUMBERS = count(7_300_000_001_001)
"""Every test has somebody of its own: the shop is one for all tests of this file, in any order."""


def registers(shopify_mock: ShopifyMock) -> int:
    """Somebody buys for the first time, and accepts marketing."""
    number = next(NUMBERS)
    told = {"id": number, "first_name": "Ada", "last_name": f"Moreau {number}", "email": f"ada{number}@example.com"}
    shopify_mock.place(("TEE-WHT-L", 1), customer={**told, "accepts_marketing": True})
    return number


def told(shopify_mock: ShopifyMock, number: int) -> dict[str, Any]:
    """The customer as a poll tells them."""
    pages = shopify_mock.connector().changed_since("customers_read", None)
    found = [json.loads(one.payload) for page in pages for one in page.messages if one.remote_id == str(number)]
    return dict(found[-1])


def deliver(
    shopify_mock: ShopifyMock, entity: str, key: str, remote_id: str | None, action: str = "upsert", **payload: Any
) -> Outcome:
    one = Delivery(1, "flow", entity, key, 1, action, payload, remote_id, f"flow/{key}/1")
    [outcome] = shopify_mock.connector().deliver([one])
    return outcome


def test_a_withdrawal_is_told_to_the_shop_as_of_when_the_person_said_so(shopify_mock: ShopifyMock) -> None:
    number = registers(shopify_mock)
    before = told(shopify_mock, number)["defaultEmailAddress"]
    assert (before["marketingState"], before["emailAddress"]) == ("SUBSCRIBED", f"ada{number}@example.com")
    said = {"status": "withdrawn", "since": "2026-11-20T12:09:00.000000Z"}
    for _ in range(2):
        outcome = deliver(shopify_mock, "consents", f"SHOP-C{number}/email", f"{number}/email", **said)
        assert (outcome.result, outcome.remote_id) == (Result.APPLIED, f"{number}/email")
    after = told(shopify_mock, number)["defaultEmailAddress"]
    assert (after["marketingState"], after["marketingUpdatedAt"][:16]) == ("UNSUBSCRIBED", "2026-11-20T12:09")


def test_nobody_is_subscribed_in_the_shop_by_us(shopify_mock: ShopifyMock) -> None:
    number = registers(shopify_mock)
    outcome = deliver(shopify_mock, "consents", f"SHOP-C{number}/email", f"{number}/email", status="subscribed")
    assert outcome.result is Result.REFUSED
    assert outcome.reason == "a consent is given in the shop by the customer alone; we tell it withdrawals"


def test_the_numbers_by_which_others_know_a_customer_are_kept_on_it(shopify_mock: ShopifyMock) -> None:
    number = registers(shopify_mock)
    numbers = {"customer_number": f"SHOP-C{number}", "erp_number": "17"}
    assert deliver(shopify_mock, "customers", f"SHOP-C{number}", str(number), **numbers).result is Result.APPLIED
    stranger = deliver(shopify_mock, "customers", "ERP-17", "1", **numbers)
    assert (stranger.result, stranger.reason) == (Result.REFUSED, "Shopify refuses ERP-17: Owner does not exist")
    nobody = deliver(shopify_mock, "customers", "ERP-18", None, **numbers)
    assert "the shop's customer behind ERP-18 is not known" in str(nobody.reason)


def test_the_price_list_of_a_customer_is_noted_and_taken_back(shopify_mock: ShopifyMock) -> None:
    number = registers(shopify_mock)
    key, noted = f"SHOP-C{number}", {"customer_number": f"SHOP-C{number}", "price_group": "VIP"}
    assert deliver(shopify_mock, "customers", key, str(number), **noted).result is Result.APPLIED
    assert shopify_mock.get(f"/sandbox/customers/{number}/notes")["price_group"] == "VIP"
    for _ in range(2):  # gone is gone
        assert deliver(shopify_mock, "customers", key, str(number), "delete", **noted).result is Result.APPLIED
    assert shopify_mock.get(f"/sandbox/customers/{number}/notes") == {"customer_number": key}
    assert told(shopify_mock, number)["tags"] == []


PARIS = {"name": "Ada Moreau", "street": "1 Rue de Lyon, Bât. C", "city": "Paris", "area": None, "postcode": "75012",
         "country": "FR"}  # fmt: skip


def bring(shopify_mock: ShopifyMock, number: int, *lines: dict[str, Any]) -> Outcome:
    told: dict[str, Any] = {"customer_number": f"SHOP-C{number}", "erp_number": "17", "lines": lines}
    return deliver(shopify_mock, "customers", f"SHOP-C{number}", str(number), **told)


def test_where_the_erp_knows_a_customer_to_live_is_the_shops_default_address_once(shopify_mock: ShopifyMock) -> None:
    number = registers(shopify_mock)
    assert told(shopify_mock, number)["defaultAddress"] is None
    for street in ("1 Rue de Lyon, Bât. C", "9 Quai Sud", "9 Quai Sud"):
        assert bring(shopify_mock, number, {"kind": "shipping", **PARIS, "street": street}).result is Result.APPLIED
    found = told(shopify_mock, number)
    assert (found["defaultAddress"]["address1"], found["defaultAddress"]["name"]) == ("9 Quai Sud", "Ada Moreau")
    assert found["billingAddress"] is None


def test_where_a_business_is_invoiced_stands_beside_the_address_that_the_customer_gave(
    shopify_mock: ShopifyMock,
) -> None:
    number = registers(shopify_mock)
    home = {"first_name": "Ada", "last_name": "Moreau", "name": "Ada Moreau", "address1": "3 Place Bellecour", "city": "Lyon",
            "zip": "69002", "country_code": "FR"}  # fmt: skip
    shopify_mock.post(f"/sandbox/customers/{number}/address", home)
    for place in (PARIS, PARIS | {"postcode": "75013"}):
        assert bring(shopify_mock, number, {"kind": "billing", **place}).result is Result.APPLIED
    found = told(shopify_mock, number)
    assert found["defaultAddress"]["address1"] == "3 Place Bellecour"
    assert (found["billingAddress"]["zip"], found["billingAddress"]["address2"]) == ("75013", "Bât. C")
    same = {"kind": "shipping", **PARIS, "street": "3 Place Bellecour", "city": "Lyon", "postcode": "69002"}
    assert bring(shopify_mock, number, same).result is Result.APPLIED, "one that is in the book is not entered again"

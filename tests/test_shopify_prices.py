"""Prices in the sandbox shop, whose answers are executed on Shopify's own Admin schema."""

import itertools
import json
from typing import Any

import pytest

from resources.connectors.connector import Delivery, Outcome, Result
from tests.fixtures_shopify import ShopifyMock

numbers = itertools.count(1)
TEE, MUG, SCARF, LAMP = "TEE-BLK-S", "MUG-SND", "SCA-WOO", "LAM-TAB"  # those of which no other test asks the price


def price(sku: str, amount: str, price_list: str = "US", *, action: str = "upsert", **more: Any) -> Delivery:
    payload = {
        "price_list": price_list,
        "sku": sku,
        "from_quantity": "1",
        "amount": amount,
        "currency": "USD",
        "includes_tax": "false",
        "countries": "US" if price_list == "US" else None,
    }
    number, key = next(numbers), f"{price_list}/{sku}"
    return Delivery(
        number, "prices_to_storefront", "selling_prices", key, 1, action, payload | more, None, f"prices/{number}"
    )


def deliver(mock: ShopifyMock, *deliveries: Delivery) -> list[Outcome]:
    outcomes = {one.delivery_id: one for one in mock.connector().deliver(deliveries)}
    return [outcomes[one.delivery_id] for one in deliveries]


def test_a_price_stands_in_its_list_and_is_taken_back(shopify_mock: ShopifyMock) -> None:
    [outcome] = deliver(shopify_mock, price(TEE, "29.50"))
    assert outcome.result is Result.APPLIED
    assert shopify_mock.get("/sandbox/prices")[f"US/{TEE}"] == "29.50 USD"
    told = [
        json.loads(one.payload) for page in shopify_mock.connector().snapshot("price_lists") for one in page.messages
    ]
    [row] = [row for row in told if (row["list"], row["sku"]) == ("US", TEE)]
    assert (row["id"], row["price"]) == (outcome.remote_id, {"amount": "29.50", "currencyCode": "USD"})
    assert [one.result for one in deliver(shopify_mock, price(TEE, "29.50", action="delete"))] == [Result.APPLIED]
    assert f"US/{TEE}" not in shopify_mock.get("/sandbox/prices")
    assert [one.result for one in deliver(shopify_mock, price(TEE, "29.50", action="delete"))] == [Result.APPLIED], (
        "gone is gone"
    )


def test_the_price_of_a_dozen_stands_beside_the_price_of_one(shopify_mock: ShopifyMock) -> None:
    dozen = {"from_quantity": "12"}
    [early] = deliver(shopify_mock, price(MUG, "15.00", **dozen))
    assert early.result is Result.RETRY
    assert "waits for the price of one piece in its list" in str(early.reason)
    assert [one.result for one in deliver(shopify_mock, price(MUG, "18.00"), price(MUG, "15.00", **dozen))] == [
        Result.APPLIED
    ] * 2
    shown = shopify_mock.get("/sandbox/prices")
    assert (shown[f"US/{MUG}"], shown[f"US/{MUG}/12"]) == ("18.00 USD", "15.00 USD")
    [gone] = deliver(shopify_mock, price(MUG, "15.00", action="delete", **dozen))
    assert gone.result is Result.APPLIED
    shown = shopify_mock.get("/sandbox/prices")
    assert (shown[f"US/{MUG}"], f"US/{MUG}/12" in shown) == ("18.00 USD", False)


def test_the_base_list_is_the_price_of_the_variant_itself(shopify_mock: ShopifyMock) -> None:
    [written, taken] = deliver(
        shopify_mock,
        price(LAMP, "131.00", "BASE", currency="EUR"),
        price(SCARF, "1", "BASE", currency="EUR", action="delete"),
    )
    assert written.result is Result.APPLIED
    assert shopify_mock.get("/sandbox/prices")[f"BASE/{LAMP}"] == "131.00 EUR"
    assert taken.result is Result.REFUSED
    assert "a variant always has one" in str(taken.reason)
    [row] = [
        row
        for page in shopify_mock.connector().snapshot("variants")
        for one in page.messages
        if (row := json.loads(one.payload))["sku"] == LAMP
    ]
    assert (row["price"], row["currency"], f"BASE/{row['id']}") == ("131.00", "EUR", written.remote_id)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (price(TEE, "0"), "a price is more than nothing"),
        (
            price(TEE, "10.00", currency="EUR"),
            "US counts in USD in the shop, and US/TEE-BLK-S is EUR; no rate is made up",
        ),
        (price(TEE, "10.00", includes_tax="true"), "a gross price, and the shop's are net; no tax is made up"),
        (price("NO-SUCH", "10.00"), "the shop has no variant with the SKU 'NO-SUCH'"),
        (price(TEE, "10.00", "NOWHERE"), "the shop has no price list named 'NOWHERE'"),
        (
            price(TEE, "10.00", countries="CA US"),
            "shows the price list US to people in US, and US/TEE-BLK-S is meant for people in CA US",
        ),
        (
            price(TEE, "10.00", countries=None),
            "shows the price list US to people in US, and US/TEE-BLK-S is meant for those with whom",
        ),
        (
            price(TEE, "10.00", "B2B-NORDWIND", currency="EUR", countries="DE"),
            "shows the price list B2B-NORDWIND to companies, and",
        ),
    ],
    ids=[
        "nothing",
        "another currency",
        "net or gross",
        "unknown SKU",
        "unknown list",
        "another market",
        "no market",
        "companies",
    ],
)
def test_a_price_that_has_no_place_is_refused_with_its_reason_and_the_others_go_through(
    shopify_mock: ShopifyMock, bad: Delivery, sentence: str
) -> None:
    [refused, applied] = deliver(shopify_mock, bad, price(SCARF, "55.00"))
    assert (refused.result, applied.result) == (Result.REFUSED, Result.APPLIED)
    assert sentence in str(refused.reason)


def test_two_words_about_one_price_are_written_in_their_order(shopify_mock: ShopifyMock) -> None:
    deliver(shopify_mock, price(SCARF, "50.00"), price(SCARF, "51.00"))
    assert shopify_mock.get("/sandbox/prices")[f"US/{SCARF}"] == "51.00 USD"


def test_a_price_without_an_answer_is_unknown_and_then_found(shopify_mock: ShopifyMock) -> None:
    sent, other = price(SCARF, "52.00"), price(SCARF, "53.00")
    shopify_mock.fail("500 after applying", on="mutation")
    assert [one.result for one in deliver(shopify_mock, sent)] == [Result.UNKNOWN]
    shopify_mock.delete("/sandbox/faults")
    assert [one.result for one in shopify_mock.connector().find([sent, other])] == [Result.APPLIED, Result.RETRY]

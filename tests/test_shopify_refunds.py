"""Refunds that the shop is told of: written down once, in the sandbox shop, and never paid again."""

import json
from typing import Any

import pytest

from resources.connectors.connector import Result
from tests.connector_adapters import delivery
from tests.fixtures_shopify import ShopifyMock

NUMBER = "STRIPE-re_{}"


def given_back(order_id: int, amount: str = "5.00", name: str = "1", **more: Any) -> dict[str, Any]:
    """A delivery of a refund that was made at the payment service."""
    told = {"order_number": f"SHOP-{order_id}", "amount": amount, "currency": "EUR", "reason": None, **more}
    return {"entity": "refunds", "key": NUMBER.format(f"{order_id}x{name}"), "payload": told}


def transactions(mock: ShopifyMock, order_id: int) -> list[tuple[str, str, str | None]]:
    """Gateway, amount and note of every refund that the shop holds."""
    return [
        (paid["gateway"], paid["amount"], refund["note"])
        for refund in mock.order(order_id)["refunds"]
        for paid in refund["transactions"]
    ]


def test_a_refund_is_written_down_once_and_asks_no_payment_service(shopify_mock: ShopifyMock) -> None:
    mock, order_id = shopify_mock, int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    wish = given_back(order_id, reason="requested_by_customer")
    (asked,) = mock.connector().find([delivery(**wish)])
    assert (asked.result, asked.reason) == (
        Result.RETRY,
        f"the shop has no refund whose note begins with {wish['key']}",
    )
    first, again, found = (
        ask([delivery(**wish)])[0]
        for ask in (mock.connector().deliver, mock.connector().deliver, mock.connector().find)
    )
    assert [one.result for one in (first, again, found)] == [Result.APPLIED] * 3
    assert first.remote_id == again.remote_id == found.remote_id
    assert transactions(mock, order_id) == [("manual", "5.00", f"{wish['key']}: requested_by_customer")]
    assert mock.order(order_id)["financial_status"] == "partially_refunded"


def test_its_record_names_it_to_whoever_reads_the_shop(shopify_mock: ShopifyMock) -> None:
    mock, order_id = shopify_mock, int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    wish = given_back(order_id)
    mock.connector().deliver([delivery(**wish)])
    pages = mock.connector().snapshot("refunds_read")
    told = [json.loads(message.payload) for page in pages for message in page.messages]
    (mine,) = [one for one in told if one["orderId"].endswith(f"/{order_id}")]
    assert mine["note"].startswith(f"{wish['key']}: ")
    assert [(one["status"], one["gateway"], one["authorizationCode"]) for one in mine["transactions"]] == [
        ("SUCCESS", "manual", None)
    ]


@pytest.mark.parametrize("fault", ["500 after applying", "500"])
def test_a_lost_answer_is_looked_up_and_never_written_twice(shopify_mock: ShopifyMock, fault: str) -> None:
    mock, order_id = shopify_mock, int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    wish = given_back(order_id)
    connector = mock.connector()
    mock.fail(fault, on="mutation")
    (lost,) = connector.deliver([delivery(**wish)])
    assert lost.result is Result.UNKNOWN
    (found,) = connector.find([delivery(**wish)])
    assert found.result is (Result.APPLIED if "after" in fault else Result.RETRY)
    (again,) = connector.deliver([delivery(**wish)])
    assert again.result is Result.APPLIED
    assert len(transactions(mock, order_id)) == 1


def test_the_refund_of_a_cancelled_order_tells_its_lines_by_post_and_when_asked(shopify_mock: ShopifyMock) -> None:
    mock, order_id = shopify_mock, int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    mock.post(f"/sandbox/orders/{order_id}/cancel")
    (posted,) = mock.order(order_id)["refunds"][0]["refund_line_items"]
    told = [
        json.loads(message.payload) for page in mock.connector().snapshot("refunds_read") for message in page.messages
    ]
    (asked,) = next(one for one in told if one["orderId"].endswith(f"/{order_id}"))["refundLineItems"]
    assert (posted["quantity"], posted["restock_type"]) == (2, "cancel")
    assert asked["id"].endswith(f"/{posted['id']}")
    assert (int(asked["quantity"]), asked["restockType"]) == (2, "CANCEL")


def test_no_more_is_written_down_than_the_shop_was_paid(shopify_mock: ShopifyMock) -> None:
    mock, order_id = shopify_mock, int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    mock.refund(order_id, "20.00")
    (refused,) = mock.connector().deliver([delivery(**given_back(order_id))])
    assert refused.result is Result.REFUSED
    assert refused.reason
    assert "Refund amount €5.00 is greater than net payment received €4.90" in refused.reason
    assert "record it in the shop as paid by hand, with a note that begins with STRIPE-re_" in refused.reason
    assert len(transactions(mock, order_id)) == 1
    (fits,) = mock.connector().deliver([delivery(**given_back(order_id, amount="4.90"))])
    assert fits.result is Result.APPLIED, "a refusal of the same refund before does not stand in its way"


def test_a_refund_that_may_be_the_same_is_put_before_a_person(shopify_mock: ShopifyMock) -> None:
    mock, order_id = shopify_mock, int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    made = mock.refund(order_id, "5.00", status="failure")
    wish = given_back(order_id)
    (refused,) = mock.connector().deliver([delivery(**wish)])
    assert refused.result is Result.REFUSED
    remote_id = wish["key"].removeprefix("STRIPE-")
    assert f"`concord link refunds stripe {remote_id} SHOP-{made['id']}`" in (refused.reason or "")
    (other,) = mock.connector().deliver([delivery(**given_back(order_id, amount="6.00", name="2"))])
    (third,) = mock.connector().deliver([delivery(**given_back(order_id, amount="6.00", name="3"))])
    assert [one.result for one in (other, third)] == [Result.APPLIED] * 2, "those that name another are no doubt"


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"order_number": None}, "names no order of the shop"),
        ({"order_number": "SHOP-1"}, "is not in the shop"),
        ({"currency": "JPY"}, "was paid in EUR, the refund is in JPY"),
    ],
)
def test_what_the_shop_cannot_record_is_a_persons(
    shopify_mock: ShopifyMock, changes: dict[str, Any], because: str
) -> None:
    order_id = int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    (refused,) = shopify_mock.connector().deliver([delivery(**given_back(order_id, **changes))])
    assert refused.result is Result.REFUSED
    assert because in (refused.reason or "")


def test_the_shop_refuses_a_refund_without_a_key_for_its_repetition(shopify_mock: ShopifyMock) -> None:
    order = shopify_mock.place(("TEE-WHT-M", 1))
    query = "mutation Refund($input: RefundInput!) { refundCreate(input: $input) { userErrors { message } } }"
    answer = shopify_mock.ask(query, {"input": {"orderId": f"gid://shopify/Order/{order['id']}"}})
    assert "@idempotent directive is required" in answer["errors"][0]["message"]

"""Returns and refunds of lines, from the sandbox shop through the connector."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from resources.connectors.connector import BadSignature
from tests.connector_adapters import delivery
from tests.fixtures_shopify import ShopifyMock


def sent(mock: ShopifyMock, *lines: tuple[str, int]) -> int:
    """The id of an order that has left the house."""
    order_id = int(mock.place(*lines)["id"])
    payload = {"order_number": f"SHOP-{order_id}", "order_remote_id": str(order_id), "tracking_number": f"T{order_id}",
               "carrier": "DHL", "lines": [{"sku": sku, "quantity": str(some)} for sku, some in lines]}  # fmt: skip
    (outcome,) = mock.connector().deliver([delivery("fulfilments", f"P{order_id}", payload)])
    assert outcome.reason is None
    return order_id


def told(mock: ShopifyMock, stream: str, order_id: int) -> list[dict[str, Any]]:
    """What a poll tells of an order's records."""
    pages = (
        mock.connector().snapshot(stream) if stream != "returns_read" else mock.connector().changed_since(stream, None)
    )
    records = [json.loads(message.payload) for page in pages for message in page.messages]
    return [one for one in records if str(order_id) in (one.get("orderId") or one["id"])]


def test_a_return_is_asked_for_approved_and_closed_as_the_admin_api_tells_it(shopify_mock: ShopifyMock) -> None:
    mock = shopify_mock
    order_id = sent(mock, ("TEE-WHT-M", 2))
    asked = mock.post(f"/sandbox/orders/{order_id}/returns", {"lines": {"TEE-WHT-M": 1}})
    assert [one["status"] for one in told(mock, "returns_read", order_id)] == ["REQUESTED"]
    for step in ("approve", "close", "reopen", "close"):
        mock.post(f"/sandbox/returns/{asked['id']}/{step}")
    (answer,) = told(mock, "returns_read", order_id)
    assert (answer["status"], answer["name"]) == ("CLOSED", asked["name"])
    (line,) = answer["returnLineItems"]
    assert (line["fulfillmentLineItem"]["lineItem"]["sku"], line["quantity"]) == ("TEE-WHT-M", "1")
    with pytest.raises(AssertionError, match="is closed, and cannot approve"):
        mock.post(f"/sandbox/returns/{asked['id']}/approve")


def test_what_never_left_cannot_come_back(shopify_mock: ShopifyMock) -> None:
    order_id = int(shopify_mock.place(("TEE-WHT-M", 2))["id"])
    with pytest.raises(AssertionError, match="at most what was fulfilled"):
        shopify_mock.post(f"/sandbox/orders/{order_id}/returns", {"lines": {"TEE-WHT-M": 1}})


def test_a_refund_of_lines_tells_what_became_of_the_goods(shopify_mock: ShopifyMock) -> None:
    mock = shopify_mock
    order_id = sent(mock, ("TEE-WHT-M", 2))
    mock.post(f"/sandbox/orders/{order_id}/take_back", {"lines": {"TEE-WHT-M": 1}, "restock": "no_restock"})
    (refund,) = told(mock, "refunds_read", order_id)
    (part,) = refund["refundLineItems"]
    assert (part["restockType"], part["quantity"], part["subtotalSet"]["shopMoney"]["amount"]) == (
        "NO_RESTOCK",
        "1",
        "10.0",
    )
    assert refund["transactions"][0]["amountSet"]["presentmentMoney"]["amount"] == "10.0"
    (order,) = told(mock, "orders_read", order_id)
    assert order["lineItems"]["nodes"][0]["currentQuantity"] == "1"
    assert [one["refundLineItems"][0]["quantity"] for one in order["refunds"]] == ["1"]
    with pytest.raises(AssertionError, match="cannot exceed"):
        mock.post(f"/sandbox/orders/{order_id}/take_back", {"lines": {"TEE-WHT-M": 2}})


def test_a_return_is_posted_with_the_time_that_its_header_tells(shopify_mock: ShopifyMock) -> None:
    body = json.dumps({"id": 9, "status": "open", "return_line_items": []}).encode()
    signature = base64.b64encode(hmac.new(shopify_mock.secret.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"X-Shopify-Hmac-Sha256": signature, "X-Shopify-Topic": "returns/approve", "X-Shopify-Event-Id": "e1",
               "X-Shopify-Shop-Domain": shopify_mock.shop, "X-Shopify-Triggered-At": "2026-11-20T12:00:00Z"}  # fmt: skip
    (message,) = shopify_mock.connector().read_webhook("returns/approve", headers, body)
    assert (message.stream, json.loads(message.payload)["triggered_at"]) == ("returns", "2026-11-20T12:00:00Z")
    with pytest.raises(BadSignature):
        shopify_mock.connector().read_webhook("returns/close", headers, body)

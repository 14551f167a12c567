"""The sandbox shop's till: what it does about an order, and that it really pays at the payment service."""

import time
from pathlib import Path
from typing import Any

import pytest

from resources.sandbox.till import DECLINES, GOODWILL, Account, Step, Till, due
from tests.fixtures_shopify import ShopifyMock
from tests.fixtures_stripe import RunningStripe

PAID = Account(payment="pi_1", authorised=2000, captured=2000)
HELD = Account(payment="pi_1", authorised=2000)


def order(status: str, **more: Any) -> dict[str, Any]:
    told = {"n": 1, "id": 7, "name": "#7", "currency": "EUR", "total_price": "20.00", "current_total_price": "20.00"}
    return {**told, "financial_status": status, "cancelled_at": None, "refunds": [], **more}


def refund(amount: str, status: str = "success", number: int = 9, gateway: str = "stripe") -> dict[str, Any]:
    return {"id": number, "transactions": [{"amount": amount, "status": status, "gateway": gateway}]}


@pytest.mark.parametrize(
    ("told", "known", "steps"),
    [
        (order("pending"), Account(), []),
        (order("paid"), Account(), [Step("sell", 2000)]),
        (order("paid", n=DECLINES), Account(), [Step("decline", 2000), Step("sell", 2000)]),
        (order("authorized"), Account(), [Step("authorise", 2000)]),
        (
            order("paid", currency="JPY", total_price="2000", current_total_price="2000"),
            Account(),
            [Step("sell", 2000)],
        ),
        (order("voided", cancelled_at="now"), Account(), []),
        (order("authorized"), HELD, []),
        (order("paid", current_total_price="15.00"), HELD, [Step("capture", 1500)]),
        (order("voided", cancelled_at="now"), HELD, [Step("void")]),
        (order("voided", cancelled_at="now"), HELD._replace(is_voided=True), []),
        (order("paid"), PAID, []),
        (order("refunded", refunds=[refund("5.00")]), PAID, [Step("refund", 500, "9")]),
        (order("refunded", refunds=[refund("5.00")]), PAID._replace(refunded=("9",)), []),
        (order("refunded", refunds=[refund("5.00", "failure")]), PAID, []),
        (order("refunded", refunds=[refund("5.00", gateway="manual")]), PAID, []),
        (order("paid", n=GOODWILL + 7), PAID, [Step("refund", 200, "goodwill")]),
        (order("paid", n=GOODWILL + 7), PAID._replace(refunded=("goodwill",)), []),
    ],
)
def test_what_the_till_does_follows_from_the_order_and_from_what_it_did(
    told: dict[str, Any], known: Account, steps: list[Step]
) -> None:
    assert list(due(told, known)) == steps


def ordinary(mock: ShopifyMock, status: str) -> dict[str, Any]:
    """An order whose number is none of those that the till pays back in part by itself: other tests count in this shop, too."""
    while (int((told := mock.place(("TEE-WHT-L", 2), financial_status=status))["name"][1:]) - 1000) % GOODWILL == 7:
        pass
    return told


def test_orders_are_paid_and_paid_back_at_the_payment_service(
    shopify_mock: ShopifyMock, stripe_server: RunningStripe, tmp_path: Path
) -> None:
    environment = {"STRIPE_URL": stripe_server.base_url, "STRIPE_API_KEY": stripe_server.api_key}
    placed = [ordinary(shopify_mock, status) for status in ("paid", "authorized")]

    def look() -> dict[int, Account]:
        till = Till(
            environment, shopify_mock.base_url, tmp_path / "till.json"
        )  # it remembers from one life to the next
        till.since = max(till.since, int(time.time()) - 60)
        till.look()
        return {int(number): account for number, account in till.accounts.items()}

    sold, held = (look()[one["id"]] for one in placed)
    assert (sold.captured, held.captured, held.authorised) == (2490, 0, 2490)
    assert look()[placed[0]["id"]].payment == sold.payment, "nobody pays twice"
    shopify_mock.post(f"/sandbox/orders/{placed[1]['id']}/cancel")
    made = shopify_mock.refund(placed[0]["id"], "4.90")
    assert made["transactions"][0]["authorization"] == sold.payment
    look()
    paid = stripe_server.ask("GET", f"payment_intents/{sold.payment}")
    assert (paid["metadata"]["order_id"], paid["amount_received"]) == (str(placed[0]["id"]), 2490)
    assert stripe_server.ask("GET", f"payment_intents/{held.payment}")["status"] == "canceled"
    (back,) = stripe_server.refunds_of(sold.payment or "")
    assert (back["amount"], back["metadata"]) == (490, {"refund_id": str(made["id"])})

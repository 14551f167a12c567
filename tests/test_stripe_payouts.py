"""The payment service's balance and payouts, as its connector reads them: each transaction before and under its payout."""

import json
from decimal import Decimal
from typing import Any

from tests.fixtures_stripe import RunningStripe


def asked(stripe: RunningStripe, stream: str, cursor: str | None = None) -> tuple[list[dict[str, Any]], str]:
    """What a poll tells, and the cursor after it."""
    pages = list(stripe.connector.changed_since(stream, cursor))
    assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
    return [json.loads(message.payload) for page in pages for message in page.messages], str(pages[-1].cursor)


def moved_by(rows: list[dict[str, Any]], payment: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["source"]["payment_intent"] == payment]


def pay_out(stripe: RunningStripe) -> dict[str, Any]:
    """Send the balance in euros to the bank."""
    made = stripe.ask("POST", "sandbox/payouts")["data"]
    return next(dict(payout) for payout in made if payout["currency"] == "eur")


def test_a_transaction_is_read_again_under_its_payout(own_stripe: RunningStripe) -> None:
    payment = own_stripe.pay(2000, order_id="1")
    before, cursor = asked(own_stripe, "balance_transactions")
    (charge,) = moved_by(before, payment)
    assert (charge["type"], charge["amount"], charge["fee"], charge["net"]) == ("charge", "2000", "53", "1947")
    assert "payout" not in charge, "nobody can know of it yet, and nothing is said of it"
    own_stripe.refund(payment, 500)
    payout = pay_out(own_stripe)
    after, cursor = asked(own_stripe, "balance_transactions", cursor)
    under = [row for row in moved_by(after, payment) if "payout" in row]
    assert {(row["type"], row["amount"], row["payout"]) for row in under} == {
        ("charge", "2000", payout["id"]),
        ("refund", "-500", payout["id"]),
    }
    (told,) = [row for row in asked(own_stripe, "payouts")[0] if row["id"] == payout["id"]]
    assert sum(Decimal(row["net"]) for row in after if row.get("payout") == payout["id"]) == Decimal(told["amount"])
    assert json.loads(cursor)["open"] == [], "its list is complete"


def test_what_was_never_captured_is_no_movement(own_stripe: RunningStripe) -> None:
    held = own_stripe.pay(3000, capture="manual", order_id="2")
    part = own_stripe.pay(3000, capture="manual", order_id="3")
    own_stripe.capture(part, 1000)
    rows, _ = asked(own_stripe, "balance_transactions")
    assert moved_by(rows, held) == []
    assert [(row["type"], row["amount"]) for row in moved_by(rows, part)] == [("charge", "1000")]


def test_a_payout_that_is_not_complete_is_read_again(own_stripe: RunningStripe) -> None:
    own_stripe.pay(2000, order_id="4")
    payout = pay_out(own_stripe)
    cursor = json.dumps({"since": payout["created"] + 3600, "open": [payout["id"]]})
    rows, cursor = asked(own_stripe, "balance_transactions", cursor)
    assert {row["payout"] for row in rows} == {payout["id"]}
    assert json.loads(cursor)["open"] == []

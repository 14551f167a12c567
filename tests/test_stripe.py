"""Stripe: its signatures, what its events and lists tell, and refunds that are made once and never beyond what was captured."""

import json
import time
from collections.abc import Mapping
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb
import iso4217
import pytest
import stripe as official

from resources.connectors.connector import BadMessage, BadSignature, Delivery, Message, Result
from resources.connectors.stripe.connector import STREAMS, Stripe, minor_amount
from resources.lake.macros import teach
from tests.connector_adapters import delivery
from tests.fixtures_stripe import RunningStripe, new_stripe

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
CONNECTOR = Stripe(base_url="http://127.0.0.1:9", api_key="sk_test_x", webhook_secrets=f"{SECRET}, {OLD_SECRET}")
CHARGE = {"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "amount": 1999, "currency": "eur"}


def event(record: Mapping[str, Any], kind: str = "charge.captured") -> bytes:
    told = {"object": "event", "id": "evt_1", "type": kind, "created": int(time.time()), "data": {"object": record}}
    return json.dumps(told, indent=2).encode()


def signed(body: bytes, secret: str = SECRET, *, seconds_off: int = 0) -> dict[str, str]:
    """The header, signed by Stripe's own client."""
    at = int(time.time()) + seconds_off
    signature = official.WebhookSignature._compute_signature(f"{at}.{body.decode()}", secret)
    return {"Stripe-Signature": f"t={at},v1={signature}"}


def read(body: bytes, headers: Mapping[str, str], topic: str = "events") -> Message:
    (message,) = CONNECTOR.read_webhook(topic, headers, body)
    return message


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_an_event_that_stripe_signed_is_read_with_every_secret_that_we_share(secret: str) -> None:
    message = read(event(CHARGE), signed(event(CHARGE), secret))
    assert (message.stream, message.remote_id, message.event_id) == ("charges", "ch_1", "evt_1")
    told = json.loads(message.payload)
    assert (told["amount"], told["event"]) == ("1999", "charge.captured")
    assert told["as_of"].endswith("Z")


def test_one_signature_of_several_is_enough_while_a_secret_rotates() -> None:
    body = event(CHARGE)
    header = signed(body)["Stripe-Signature"]
    assert read(body, {"stripe-signature": header.replace(",v1=", f",v1={'0' * 64},v0=nothing,v1=")})


@pytest.mark.parametrize("seconds_off", [-301, 301])
def test_a_signature_from_the_past_or_the_future_is_refused(seconds_off: int) -> None:
    body = event(CHARGE)
    with pytest.raises(BadSignature, match="more than 300 s away"):
        read(body, signed(body, seconds_off=seconds_off))


@pytest.mark.parametrize("seconds_off", [-290, 290])
def test_clocks_may_differ_a_little(seconds_off: int) -> None:
    assert read(event(CHARGE), signed(event(CHARGE), seconds_off=seconds_off))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=1795290962",
        "v1=abc",
        "t=now,v1=abc",
        "t=1795290962,t=1795290963,v1=abc",
        "t=99999999999999999999,v1=abc",
        "t=²,v1=é",
    ],
)
def test_a_header_without_time_or_signature_is_refused(header: str) -> None:
    with pytest.raises(BadSignature):
        read(event(CHARGE), {"Stripe-Signature": header})


def test_a_body_or_a_secret_that_is_not_ours_is_refused() -> None:
    body = event(CHARGE)
    for headers, told in ((signed(body), body + b" "), (signed(body, "whsec_other"), body)):
        with pytest.raises(BadSignature, match="none of the secrets"):
            read(told, headers)
    with pytest.raises(BadSignature, match="to the address events"):
        read(body, signed(body), "charges")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"not json", "no event"),
        (b"[]", "no event"),
        (
            event({"object": "customer", "id": "cus_1"}, "customer.created"),
            "tells of 'customer', which no stream takes",
        ),
        (event({"object": "charge"}), "'id'"),
    ],
)
def test_what_is_no_event_that_we_take_is_refused_in_a_sentence(body: bytes, why: str) -> None:
    with pytest.raises(BadMessage, match=why):
        read(body, signed(body))


def test_no_message_carries_the_secret_of_a_checkout(stripe_server: RunningStripe) -> None:
    payment = stripe_server.pay(1000)
    bodies = [
        m.payload + m.body.decode() for p in stripe_server.connector.snapshot("payment_intents") for m in p.messages
    ]
    assert any(payment in body for body in bodies)
    assert not any("client_secret" in body for body in bodies)


def told_since(server: RunningStripe, stream: str, cursor: str | None) -> tuple[dict[str, dict[str, Any]], str | None]:
    pages = list(server.connector.changed_since(stream, cursor))
    return {str(m.remote_id): json.loads(m.payload) for page in pages for m in page.messages}, pages[-1].cursor


def later(cursor: str | None) -> str:
    """The cursor as it would stand an hour later, when nothing new is remembered any more."""
    told = json.loads(cursor or "")
    return json.dumps({"since": told["since"] + 3600, "seen": told["seen"]})


def test_what_no_event_tells_is_found_by_asking(stripe_server: RunningStripe) -> None:
    """A late capture of a part and a void of what is open; a refund of what was closed long ago."""
    open_one, voided, closed = (stripe_server.pay(1000, capture=how) for how in ("manual", "manual", "automatic"))
    _, cursor = told_since(stripe_server, "payment_intents", None)
    known = json.loads(cursor or "")["seen"]
    assert {open_one, voided} <= set(known)
    stripe_server.capture(open_one, 700)
    stripe_server.void(voided)
    found, _ = told_since(stripe_server, "payment_intents", later(cursor))
    assert (found[open_one]["amount_received"], found[open_one]["latest_charge"]["amount_refunded"]) == ("700", "300")
    assert found[voided]["status"] == "canceled"
    stripe_server.refund(closed, 250)
    forgotten = json.dumps({"since": json.loads(cursor or "")["since"], "seen": {}})
    found, _ = told_since(stripe_server, "payment_intents", forgotten)
    assert found[closed]["latest_charge"]["amount_refunded"] == "250"


def test_an_abandoned_checkout_is_not_looked_for_for_ever(stripe_server: RunningStripe) -> None:
    abandoned = stripe_server.ask("POST", "payment_intents", amount=500, currency="eur")["id"]
    payment = stripe_server.pay(500, capture="manual")
    _, cursor = told_since(stripe_server, "payment_intents", None)
    assert {abandoned, payment} <= set(json.loads(cursor or "")["seen"])
    ages = STREAMS["payment_intents"].open
    assert ages["requires_payment_method"] < ages["requires_capture"]


def a_refund(payment: str, amount: str = "12.50", currency: str = "EUR", key: str = "SHOP-1") -> Delivery:
    told = {"refund_number": key, "payment_number": f"STRIPE-{payment}", "amount": amount, "currency": currency}
    return delivery("refunds", key, told)


def outcome(server: RunningStripe, one: Delivery) -> tuple[Result, str]:
    (found,) = server.connector.deliver([one])
    return found.result, found.reason or ""


def test_money_goes_back_once_in_the_units_of_its_currency(stripe_server: RunningStripe) -> None:
    payment = stripe_server.pay(5000, "jpy")
    one = a_refund(payment, "1500", "JPY")
    for _ in range(2):
        assert outcome(stripe_server, one)[0] is Result.APPLIED
    (made,) = stripe_server.refunds_of(payment)
    assert (made["amount"], made["metadata"]) == (1500, {"refund_number": "SHOP-1"})


def test_no_more_goes_back_than_was_captured_and_is_left(stripe_server: RunningStripe) -> None:
    payment = stripe_server.pay(5000, capture="manual")
    assert outcome(stripe_server, a_refund(payment)) == (
        Result.REFUSED, f"payment {payment} has captured nothing, so there is nothing to give back",
    )  # fmt: skip
    stripe_server.capture(payment, 3000)
    assert outcome(stripe_server, a_refund(payment, "20.00", key="SHOP-2"))[0] is Result.APPLIED
    result, reason = outcome(stripe_server, a_refund(payment, "10.01", key="SHOP-3"))
    assert result is Result.REFUSED
    assert "would give back 1001" in reason
    assert "only 1000" in reason
    assert outcome(stripe_server, a_refund(payment, "10.00", key="SHOP-4"))[0] is Result.APPLIED
    assert sum(refund["amount"] for refund in stripe_server.refunds_of(payment)) == 5000  # 2000 were never captured


def test_a_refund_that_somebody_made_by_hand_is_not_made_again(stripe_server: RunningStripe) -> None:
    payment = stripe_server.pay(5000)
    by_hand = stripe_server.refund(payment, 1250)
    result, reason = outcome(stripe_server, a_refund(payment))
    assert result is Result.REFUSED
    assert f"`concord link refunds stripe {by_hand} SHOP-1`" in reason
    assert len(stripe_server.refunds_of(payment)) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"currency": "USD"}, "is in EUR, the refund in USD"),
        ({"amount": "1.005"}, "no amount that can be given back"),
        ({"amount": "-1"}, "no amount that can be given back"),
        ({"amount": "a lot"}, "«a lot» is no amount of money"),
        ({"payment_number": None}, "names no payment at Stripe"),
        ({"payment_number": "STRIPE-pi_unheard_of"}, "has captured nothing"),
    ],
)
def test_a_refund_that_makes_no_sense_is_refused_in_a_sentence(
    stripe_server: RunningStripe, change: dict[str, Any], why: str
) -> None:
    payment = stripe_server.pay(5000)
    told = a_refund(payment)
    result, reason = outcome(stripe_server, delivery("refunds", "SHOP-1", {**told.payload, **change}))
    assert result is Result.REFUSED
    assert why in reason
    assert stripe_server.refunds_of(payment) == []


def test_the_map_and_the_courier_count_in_the_same_units() -> None:
    with duckdb.connect() as db:
        teach(db)
        for currency in iso4217.Currency:
            if currency.exponent is None:
                continue
            row = db.execute("select as_decimal(stripe_amount('12300', ?))", [currency.code.lower()]).fetchone()
            assert row is not None
            assert minor_amount(str(row[0]), currency.code) == 12300, currency.code


def test_amounts_without_decimals_with_three_and_with_none_that_make_sense() -> None:
    with duckdb.connect() as db:
        teach(db)
        for amount, currency, told in (
            ("1999", "eur", "19.9900"), ("1999", "jpy", "1999.0000"), ("1999", "kwd", "1.9990"), ("1999", "isk", "19.9900"),
            ("19.99", "eur", "19.99 smallest units"), ("1999", "zzz", "1999 smallest units"),
            ("999999999999999999", "eur", "9999999999999999.9900"), (None, "eur", None),
        ):  # fmt: skip
            assert db.execute("select stripe_amount(?, ?)", [amount, currency]).fetchone() == (told,), amount
        assert db.execute("select of_epoch('1795290962'), of_epoch('soon')").fetchone() == (
            "2026-11-21T19:56:02Z",
            "soon",
        )
    with pytest.raises(ValueError, match="no ISO 4217 currency"):
        minor_amount("1", "zzz")
    assert Decimal(minor_amount("0.01", "EUR")) == 1


def test_what_the_service_posts_is_signed_as_stripes_own_client_expects(tmp_path: Path) -> None:
    posted: list[tuple[bytes, str]] = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append((self.rfile.read(int(self.headers["Content-Length"])), self.headers["Stripe-Signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = new_stripe(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", server.door_port), Sink) as sink:
        Thread(target=sink.serve_forever, args=(0.02,), daemon=True).start()
        server.start()
        try:
            payment = server.pay(1000, order_id="7")
            until = time.monotonic() + 20
            while not posted and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            server.stop()
            sink.shutdown()
    ((body, header),) = posted
    assert official.Webhook.construct_event(body, header, server.secret)["type"] == "payment_intent.succeeded"
    (message,) = server.connector.read_webhook("events", {"Stripe-Signature": header}, body)
    assert (message.stream, message.remote_id) == ("payment_intents", payment)
    assert json.loads(message.payload)["metadata"] == {"order_id": "7"}


def test_the_books_of_the_service_outlive_it(tmp_path: Path) -> None:
    server = new_stripe(tmp_path)
    server.start()
    payment = server.pay(1000)
    server.stop()
    server.start()
    try:
        assert server.ask("GET", f"payment_intents/{payment}")["status"] == "succeeded"
        server.refund(payment, 100)
        assert [refund["amount"] for refund in server.refunds_of(payment)] == [100]
    finally:
        server.stop()


def test_another_key_than_ours_is_answered_by_nothing(stripe_server: RunningStripe) -> None:
    stranger = stripe_server.connector.model_copy(update={"api_key": "sk_test_guessed"})
    with pytest.raises(Exception, match="refuses our secret key"):
        list(stranger.changed_since("refunds", None))

"""Stripe, the payment service: signed events in, payments and refunds polled, refunds out."""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any, NamedTuple

import iso4217

from resources.connectors.connector import (
    BadMessage,
    BadSignature,
    Connector,
    Delivery,
    Message,
    Outcome,
    Page,
    Result,
    Unreachable,
    utc_text,
)
from resources.connectors.stripe import payouts
from resources.connectors.stripe.api import NoAnswer, Refused, StripeApi, api_for
from resources.host.text import as_payload, dump_payload, hash_of

TOPIC = "events"  # Stripe posts events of every kind to one address
TOLERANCE = 300  # seconds that a signature's time may lie in the past or in the future, as Stripe advises
DAY = 86_400
OVERLAP = 60  # seconds that a poll looks back before its cursor; what is read twice is kept once
# A list answers to the second and may show a record as it was before an event of the same second. Counted from the end
# of that second it is the later word: if it was old, the next poll tells the change, and if not, nothing undoes it.
END_OF_SECOND = timedelta(microseconds=999_999)


class Stream(NamedTuple):
    """How a stream's records are listed and when they may still change without another record that tells so."""

    path: str
    expand: tuple[str, ...]
    open: Mapping[str, int]  # status: for how many days a record may leave it


STREAMS = {
    "payment_intents": Stream(
        "payment_intents",
        ("latest_charge",),
        # an authorisation lasts a month at most; who left a checkout is looked for no longer than a day
        {"requires_capture": 31, "processing": 31, "requires_action": 1, "requires_confirmation": 1,
         "requires_payment_method": 1},
    ),
    "refunds": Stream("refunds", ("charge",), {"pending": 31, "requires_action": 31}),
    # a payout that was paid may still come back from the bank
    "payouts": Stream("payouts", (), {"pending": 31, "in_transit": 31, "paid": 10}),
}  # fmt: skip
TOLD_OF = {  # what an event is about: its stream
    "payment_intent": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
}


class Stripe(Connector):
    """One account. `webhook_secrets` are separated by commas, two while one rotates."""

    base_url: str
    api_key: str
    webhook_secrets: str

    @property
    def api(self) -> StripeApi:
        return api_for(self.base_url, self.api_key)

    # --- webhooks

    def read_webhook(self, topic: str, headers: Mapping[str, str], body: bytes) -> Sequence[Message]:
        """An event, signed with its time: https://docs.stripe.com/webhooks#verify-manually."""
        if topic != TOPIC:
            raise BadSignature(f"Stripe posts events to the address {TOPIC}, not to {topic}")
        said = {name.lower(): value for name, value in headers.items()}
        self._verify(said.get("stripe-signature", ""), body)
        try:
            event = json.loads(as_payload(body))
            kind, record = event["type"], event["data"]["object"]
            told_at = datetime.fromtimestamp(int(event["created"]), UTC)
            stream, number, event_id = TOLD_OF[record["object"]], str(record["id"]), str(event["id"])
        except (ValueError, TypeError, RecursionError, OverflowError) as problem:
            raise BadMessage(f"the body is no event of Stripe's: {type(problem).__name__}") from problem
        except KeyError as problem:
            raise BadMessage(
                f"the event tells of {problem}, which no stream takes; let this address be sent payment_intent.*, "
                "charge.* and refund.* only"
            ) from problem
        payload = dump_payload({**_told(record), "event": kind, "as_of": utc_text(told_at)})
        return [Message(stream, payload, body, remote_id=number, event_id=event_id, is_versioned=True)]

    def _verify(self, header: str, body: bytes) -> None:
        parts = [part.strip().partition("=") for part in header.split(",")]
        times = [value for name, _, value in parts if name == "t"]
        given = [value for name, _, value in parts if name == "v1"]
        if len(times) != 1 or not re.fullmatch(r"\d{1,12}", times[0]) or not given:
            raise BadSignature("the header Stripe-Signature names no time and no signature")
        signed = times[0].encode() + b"." + body
        secrets = [secret.strip() for secret in self.webhook_secrets.split(",") if secret.strip()]
        owed = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
        fits = [hmac.compare_digest(one.encode(), other.encode()) for one in owed for other in given]
        if not any(fits):  # all are tried, so that the time it takes tells nothing
            raise BadSignature("the signature of this event fits none of the secrets that we share")
        if abs(time.time() - int(times[0])) > TOLERANCE:
            raise BadSignature(f"the event was signed more than {TOLERANCE} s away from now: it may be a replay")

    # --- polls and snapshots

    def changed_since(self, stream: str, cursor: str | None) -> Iterator[Page]:
        """What was made since the cursor, what was open then, and the payments of new refunds.

        Stripe lists by the time of making, newest first, and tells no time of change: so what may still change is
        remembered and read again. The cursor moves with the last page, when all that is older was seen.
        """
        if stream == payouts.STREAM:
            yield from payouts.transactions_since(self.api, cursor, _message)
            return
        how, known = STREAMS[stream], _known(cursor)
        since: dict[str, Any] = {} if known["since"] is None else {"created[gte]": known["since"] - OVERLAP}
        seen: dict[str, str] = {}
        began: datetime | None = None
        for answer, _ in self.api.pages(how.path, since, how.expand):
            began = began or answer.server_time
            rows = answer.body["data"]
            messages = [m for row in rows if (m := self._news(stream, row, answer.server_time, known["seen"], seen))]
            yield Page(messages, cursor)
        assert began is not None
        messages = []
        wanted = {*known["seen"], *(self._refunded(since) if stream == "payment_intents" else ())} - seen.keys()
        for number in sorted(wanted):
            found = self.api.record(f"{how.path}/{number}", how.expand)
            if found and (m := self._news(stream, found.body, found.server_time, known["seen"], seen)):
                messages.append(m)
        horizon = int(began.timestamp())
        yield Page(messages, json.dumps({"since": horizon, "seen": seen}), is_last=True)

    def _news(
        self, stream: str, row: dict[str, Any], at: datetime, known: Mapping[str, str], seen: dict[str, str]
    ) -> Message | None:
        """The record as a message, unless it is as it was; one that may change unseen is remembered in `seen`."""
        message = _message(stream, row, at)
        mark = hash_of(message.body)[:16]
        age = at.timestamp() - int(row["created"])
        if age < max(2 * OVERLAP, DAY * STREAMS[stream].open.get(row["status"], 0)):
            seen[row["id"]] = mark
        return None if known.get(row["id"]) == mark else message

    def _refunded(self, since: Mapping[str, Any]) -> set[str]:
        """The payments of which something was given back since then."""
        if not since:
            return set()
        pages = self.api.pages("refunds", since, ("charge",))
        found = [_payment_of(refund) for answer, _ in pages for refund in answer.body["data"]]
        return {payment for payment in found if payment}

    def snapshot(self, stream: str) -> Iterator[Page]:
        how = STREAMS[stream]
        for answer, is_last in self.api.pages(how.path, {}, how.expand):
            messages = [_message(stream, row, answer.server_time) for row in answer.body["data"]]
            yield Page(messages, None, is_last)

    # --- refunds out

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Give back what each delivery asks for, one by one, for Stripe takes no batch of them."""
        return [self._guarded(self._refund, one, Result.RETRY) for one in deliveries]

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [self._guarded(self._look_up, one, Result.UNKNOWN) for one in deliveries]

    def _guarded(self, do: Callable[[Delivery], Outcome], one: Delivery, when_silent: Result) -> Outcome:
        try:
            return do(one)
        except Unreachable as problem:
            return Outcome(one.delivery_id, when_silent, reason=str(problem), retry_after=problem.retry_after)
        except NoAnswer as problem:
            return Outcome(one.delivery_id, Result.UNKNOWN, reason=str(problem))
        except Refused as problem:
            return Outcome.refused(one, f"Stripe refuses it: {problem}")

    def _refund(self, one: Delivery) -> Outcome:
        """Refund once, and never more than was captured and not given back."""
        if one.entity != "refunds" or one.action != "upsert":
            return Outcome.refused(one, f"Stripe takes no {one.action} of {one.entity}; do it there by hand")
        payment = _number_at_stripe(one.payload.get("payment_number"))
        if payment is None:
            return Outcome.refused(
                one, f"refund {one.key} names no payment at Stripe; give the money back there by hand"
            )
        made = self._made(payment)
        mine = [refund for refund in made if refund["metadata"].get("refund_number") == one.key]
        if mine:
            return _applied(one, mine[0])
        found = self.api.record(f"payment_intents/{payment}", ("latest_charge",))
        charge = found.body["latest_charge"] if found else None
        if not isinstance(charge, dict) or charge["captured"] is not True:
            return Outcome.refused(one, f"payment {payment} has captured nothing, so there is nothing to give back")
        currency = str(charge["currency"])
        if str(one.payload.get("currency")).lower() != currency:
            return Outcome.refused(
                one, f"payment {payment} is in {currency.upper()}, the refund in {one.payload['currency']}"
            )
        try:
            amount = minor_amount(str(one.payload.get("amount")), currency)
        except ValueError as problem:
            return Outcome.refused(one, str(problem))
        left = int(charge["amount"]) - int(charge["amount_refunded"])  # what was never captured counts as refunded
        if amount > left:
            return Outcome.refused(
                one,
                f"it would give back {amount} of payment {payment}, and only {left} of what was captured is left "
                f"(in the smallest unit of {currency.upper()}); find out who gave back the rest",
            )
        strangers = [r["id"] for r in _by_hand(made, charge) if int(r["amount"]) == amount]
        if strangers:
            return Outcome.refused(
                one,
                f"payment {payment} has a refund {strangers[0]} of the same amount, made at Stripe by hand; if it is this "
                f"one, say so: `concord link refunds stripe {strangers[0]} {one.key}`",
            )
        wish = {"payment_intent": payment, "amount": amount, "metadata[refund_number]": one.key}
        return _applied(one, self.api.write("refunds", wish, one.key))

    def _look_up(self, one: Delivery) -> Outcome:
        payment = _number_at_stripe(one.payload.get("payment_number"))
        made = self._made(payment) if payment else []
        mine = [refund for refund in made if refund["metadata"].get("refund_number") == one.key]
        if mine:
            return _applied(one, mine[0])
        return Outcome(one.delivery_id, Result.RETRY, reason=f"payment {payment} has no refund {one.key}")

    def _made(self, payment: str) -> list[dict[str, Any]]:
        """The refunds of a payment that Stripe holds. Raises Unreachable."""
        if self.api.record(f"payment_intents/{payment}") is None:
            return []
        return [
            row for answer, _ in self.api.pages("refunds", {"payment_intent": payment}) for row in answer.body["data"]
        ]


def minor_amount(amount: str, currency: str) -> int:
    """An amount in Stripe's smallest unit of the currency. Raises ValueError where it has no such unit.

    Stripe counts as ISO 4217 does, with the exceptions of https://docs.stripe.com/currencies#special-cases.
    """
    try:
        counted = Decimal(amount).scaleb(_units(currency.upper()))
    except InvalidOperation as problem:
        raise ValueError(f"«{amount}» is no amount of money") from problem
    if counted != counted.to_integral_value() or counted <= 0:
        raise ValueError(f"{amount} {currency.upper()} is no amount that can be given back")
    return int(counted)


@cache
def _units(currency: str) -> int:
    exceptions = {"MGA": 0, "ISK": 2, "UGX": 2}
    try:
        return exceptions.get(currency, iso4217.Currency(currency).exponent or 0)
    except ValueError as problem:
        raise ValueError(f"«{currency}» is no ISO 4217 currency") from problem


def _message(stream: str, row: dict[str, Any], at: datetime) -> Message:
    """A record as a list told it. Its body leaves out when, so that what did not change is not kept again."""
    told = _told(row)
    payload = dump_payload({**told, "as_of": utc_text(at + END_OF_SECOND)})
    return Message(stream, payload, dump_payload(told).encode(), remote_id=row["id"])


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record without the secret by which a checkout could go on with it."""
    return {name: value for name, value in record.items() if name != "client_secret"}


def _payment_of(refund: Mapping[str, Any]) -> str | None:
    charge = refund.get("charge")
    return refund.get("payment_intent") or (charge.get("payment_intent") if isinstance(charge, dict) else None)


def _by_hand(made: Sequence[Mapping[str, Any]], charge: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The refunds of a charge that are not of our making. What was authorised and not captured Stripe gives back itself:
    the oldest refund of just that amount, which names nothing, is no money of the customer's."""
    strange = [refund for refund in made if not refund["metadata"].get("refund_number")]
    never_captured = str(int(charge["amount"]) - int(charge.get("amount_captured") or charge["amount"]))
    released = [refund for refund in strange if refund["amount"] == never_captured][-1:]  # the newest stands first
    return [refund for refund in strange if refund not in released]


def _number_at_stripe(payment_number: Any) -> str | None:
    found = re.fullmatch(r"STRIPE-(pi_\w+)", str(payment_number or ""))
    return found[1] if found else None


def _known(cursor: str | None) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(cursor) if cursor else {"since": None, "seen": {}}
    return told


def _applied(delivery: Delivery, refund: Mapping[str, Any]) -> Outcome:
    return Outcome(delivery.delivery_id, Result.APPLIED, remote_id=refund["id"])

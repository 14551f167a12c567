"""The till of the sandbox shop: it takes its customers' money at the payment service, and gives it back.

What is to be done about an order is a pure function of the order and of what the till did before, so a test needs no
server for it. Now and then somebody pays back at the payment service alone, behind the shop's back.

usage: python -m resources.sandbox.till
"""

import json
import os
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import requests

from resources.connectors.http import TIMEOUT, session
from resources.host import settings
from resources.sandbox.environment import sandbox_environment
from resources.sandbox.shopify_orders import minor_units

PACE = 2.0  # seconds between two looks at the shop
OVERLAP = 5  # seconds that a look goes back: what was done is known
GOODWILL = 60  # one captured order in so many is paid back in part at the payment service alone
DECLINED, ACCEPTED = "4000000000000341", "4242424242424242"
DECLINES = 25  # one order in so many is paid with a second card, after a first that was declined


class Step(NamedTuple):
    """Something to do at the payment service."""

    do: str  # decline, authorise, sell, capture, void, refund
    amount: int = 0  # in the smallest unit
    number: str = ""  # of the shop's refund


class Account(NamedTuple):
    """What the till did about an order."""

    payment: str | None = None
    authorised: int = 0
    captured: int = 0
    is_voided: bool = False
    refunded: tuple[str, ...] = ()  # the shop's refunds, and `goodwill`


def due(order: Mapping[str, Any], known: Account) -> Iterator[Step]:
    """What the order asks for now, in this order."""
    status, units = order["financial_status"], minor_units(order["currency"])
    total, now = (
        int(Decimal(order[name]).scaleb(units).to_integral_value()) for name in ("total_price", "current_total_price")
    )
    is_paid = status in ("paid", "partially_refunded", "refunded")
    if known.payment is None:
        if order["cancelled_at"] or total == 0 or not (is_paid or status == "authorized"):
            return
        if order["n"] % DECLINES == 0:
            yield Step("decline", total)
        yield Step("sell" if is_paid else "authorise", total)
        return
    if known.is_voided:
        return
    if not known.captured:
        if order["cancelled_at"]:
            yield Step("void")
        elif is_paid:
            yield Step("capture", min(now, known.authorised))  # what was taken off the order is never captured
        return
    for refund in order["refunds"]:
        for paid in (one for one in refund["transactions"] if one["gateway"] != "manual"):
            amount = int(Decimal(paid["amount"]).scaleb(units).to_integral_value())
            if paid["status"] == "success" and str(refund["id"]) not in known.refunded and amount > 0:
                yield Step("refund", amount, str(refund["id"]))
    if (
        order["n"] % GOODWILL == 7
        and "goodwill" not in known.refunded
        and known.captured >= 1000
        and not order["refunds"]
    ):
        yield Step("refund", known.captured // 10, "goodwill")


class Till:
    """The till, its memory, and the two systems between which it stands."""

    def __init__(self, environment: Mapping[str, str], shop: str, memory: Path) -> None:
        self.shop_url, self.memory = shop, memory
        self.shop, self.service = session(), session()
        self.service_url = environment["STRIPE_URL"].rstrip("/")
        self.service.headers["Authorization"] = f"Bearer {environment['STRIPE_API_KEY']}"
        told: dict[str, Any] = json.loads(memory.read_text()) if memory.exists() else {"since": 0, "accounts": {}}
        self.since: int = told["since"]
        self.accounts = {number: Account(**account) for number, account in told["accounts"].items()}
        self.cards: dict[str, str] = {}

    def look(self) -> int:
        """Do what is due about every order that changed; how many steps were done."""
        orders = self.shop.get(f"{self.shop_url}/sandbox/till?since={self.since - OVERLAP}", timeout=TIMEOUT).json()
        done = 0
        for order in orders:
            number = str(order["id"])
            for step in due(order, self.accounts.get(number, Account())):
                self.accounts[number] = self._do(order, step, self.accounts.get(number, Account()))
                self._remember()
                done += 1
        if orders and orders[-1]["updated_at"] > self.since:
            self.since = orders[-1]["updated_at"]
            self._remember()
        return done

    def _do(self, order: Mapping[str, Any], step: Step, known: Account) -> Account:
        print(f"{order['name']}: {step.do} {step.amount or ''} {order['currency']} {step.number}".rstrip(), flush=True)
        if step.do in ("decline", "authorise", "sell"):
            return self._pay(order, step, known)
        if step.do == "capture":
            self._post(f"payment_intents/{known.payment}/capture", {"amount_to_capture": step.amount})
            return known._replace(captured=step.amount)
        if step.do == "void":
            self._post(f"payment_intents/{known.payment}/cancel", {})
            return known._replace(is_voided=True)
        named = {} if step.number == "goodwill" else {"metadata[refund_id]": step.number}
        wish = {"payment_intent": known.payment, "amount": step.amount, **named}
        self._post("refunds", wish)
        return known._replace(refunded=(*known.refunded, step.number))

    def _pay(self, order: Mapping[str, Any], step: Step, known: Account) -> Account:
        wish = {
            "amount": step.amount,
            "currency": order["currency"].lower(),
            "payment_method": self._card(DECLINED if step.do == "decline" else ACCEPTED),
            "confirm": "true",
            "capture_method": "manual" if step.do == "authorise" else "automatic",
            "metadata[order_id]": order["id"],
            "metadata[order_name]": order["name"],
        }
        answer = self._post("payment_intents", wish, may_decline=step.do == "decline")
        if step.do == "decline":
            return known
        paid_by = {"authorization": answer["id"]}
        self.shop.post(f"{self.shop_url}/sandbox/orders/{order['id']}/payment", json=paid_by, timeout=TIMEOUT)
        captured = step.amount if step.do == "sell" else 0
        return Account(payment=answer["id"], authorised=step.amount, captured=captured)

    def _card(self, number: str) -> str:
        if number not in self.cards:
            card = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
            wish = {"type": "card", **{f"card[{name}]": text for name, text in card.items()}}
            self.cards[number] = self._post("payment_methods", wish)["id"]
        return self.cards[number]

    def _post(self, path: str, wish: Mapping[str, Any], *, may_decline: bool = False) -> dict[str, Any]:
        answer = self.service.post(f"{self.service_url}/v1/{path}", data=dict(wish), timeout=TIMEOUT)
        if answer.status_code == 402 and may_decline:
            return {}
        answer.raise_for_status()
        return dict(answer.json())

    def _remember(self) -> None:
        self.memory.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.memory.with_suffix(f".{os.getpid()}")
        accounts = {number: account._asdict() for number, account in self.accounts.items()}
        unfinished.write_text(json.dumps({"since": self.since, "accounts": accounts}))
        unfinished.replace(self.memory)


def serve() -> None:
    """Look at the shop for ever."""
    memory = settings.state_dir() / "sandbox" / "till.json"
    till = Till(sandbox_environment(), f"http://127.0.0.1:{settings.port('SHOPIFY', 18800)}", memory)
    while True:
        try:
            till.look()
            time.sleep(PACE)
        except (requests.RequestException, ValueError, KeyError) as problem:
            print(
                f"shop or payment service does not answer ({type(problem).__name__}); trying again in 3 s", flush=True
            )
            time.sleep(3)


if __name__ == "__main__":
    try:
        serve()
    except KeyboardInterrupt:
        print("the till is closed", flush=True)

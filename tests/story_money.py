"""The words in which stories speak of money: payments, refunds, disputes, and the proofs that hold them against orders."""

import re
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from pipelines.operations import actions
from pipelines.stages.prove import take_snapshot
from tests.fixtures_world import NOON, at
from tests.market import holding
from tests.story import AsText, Expectation, Step, Story
from tests.wanting import select

AT_THE_SERVICE: dict[tuple[int, int], dict[str, Any]] = {}  # (story, refund): what Stripe said of it last
PROOFS = {  # proof: its entity, and what its rows are about
    "paid_but_not_in_the_erp": ("payments", "payment"),
    "captured_against_ordered": ("payments", "order"),
    "captured_against_invoiced": ("payments", "order"),
    "refunded_but_not_credited": ("refunds", "refund"),
    "over_refunded": ("refunds", "payment"),
    "payout_not_explained": ("payouts", "payout"),
    "captured_but_not_paid_out": ("payouts", "payment"),
    "returned_but_not_refunded": ("returns", "order"),
    "refunded_but_not_restocked": ("returns", "order"),
    "overlapping_prices": ("prices", "line"),
    "sold_at_another_price": ("prices", "order"),
    "sold_without_a_list": ("prices", "what"),
}
SAID: dict[tuple[int, int], dict[str, Any]] = {}  # (story, payment): what Stripe said of it last, and its event


def payment_key(story: Story, payment: int) -> str:
    return f"STRIPE-pi_{story.id_of(payment)}"


def refund_key(story: Story, refund: int, made_at: str) -> str:
    return f"SHOP-{story.id_of(refund)}" if made_at == "shopify" else f"STRIPE-re_{story.id_of(refund)}"


def seconds(minutes: float) -> int:
    return int(NOON.timestamp() + minutes * 60)


class StripeSays(Step):
    """The payment service tells a payment as it is now, by an event or, where it posts none, when it is asked."""

    words = "stripe says"
    payment: int
    order: int | None = None
    at: float = 1
    is_: Literal["failed", "authorised", "captured", "voided", "sent"] = Field("captured", alias="is")
    amount: AsText = "2000"  # in the smallest unit
    captured: AsText | None = None  # less than was authorised
    refunded: AsText = "0"
    currency: str = "eur"
    disputed: bool = False
    when_asked: bool = False

    def play(self, story: Story) -> None:
        number, amount = story.id_of(self.payment), int(self.amount)
        captured = int(self.captured or amount) if self.is_ == "captured" else 0
        back = int(self.refunded) + (amount - captured if captured else 0)  # what is released counts as refunded
        statuses = {"failed": "requires_payment_method", "authorised": "requires_capture", "captured": "succeeded"}
        status = {**statuses, "voided": "canceled", "sent": "flying"}[self.is_]
        charge = {
            "id": f"ch_{number}", "amount": amount, "amount_captured": captured, "amount_refunded": back,
            "captured": captured > 0, "refunded": back >= amount, "disputed": self.disputed,
            "payment_method_details": {"type": "card", "card": {"brand": "visa"}},
        }  # fmt: skip
        told = {
            "object": "payment_intent", "id": f"pi_{number}", "amount": amount, "amount_received": captured,
            "currency": self.currency, "status": status, "created": seconds(0), "latest_charge": charge,
            "last_payment_error": {"code": "card_declined"} if self.is_ == "failed" else None,
            "metadata": {"order_id": story.id_of(self.order)} if self.order else {}, "as_of": at(self.at),
        }  # fmt: skip
        SAID[story.number, self.payment] = told
        _tell(story, told, when_asked=self.when_asked)


class StripeRepeats(Step):
    """The payment service posts its last event about a payment once more."""

    words = "stripe repeats"
    payment: int

    def play(self, story: Story) -> None:
        assert _tell(story, SAID[story.number, self.payment]) == 0


def _tell(story: Story, told: dict[str, Any], *, when_asked: bool = False) -> int:
    how = {"by": "poll"} if when_asked else {"event_id": f"evt_{told['id']}_{told['as_of']}_{told['status']}"}
    return story.world.say("stripe", "payment_intents", told, remote_id=told["id"], is_versioned=True, **how)


class StripeTellsOfCharge(Step):
    """The payment service posts an event about the same payment's charge."""

    words = "stripe tells of the charge"
    payment: int
    order: int
    at: float
    captured: AsText
    amount: AsText = "2000"

    def play(self, story: Story) -> None:
        number = story.id_of(self.payment)
        told = {
            "object": "charge", "id": f"ch_{number}", "payment_intent": f"pi_{number}", "amount": int(self.amount),
            "amount_captured": int(self.captured), "amount_refunded": int(self.amount) - int(self.captured),
            "captured": True, "refunded": False, "disputed": False, "currency": "eur", "status": "succeeded",
            "created": seconds(0), "metadata": {"order_id": story.id_of(self.order)}, "as_of": at(self.at),
        }  # fmt: skip
        story.world.say("stripe", "charges", told, remote_id=told["id"], event_id=f"evt_{number}_charge_{self.at}")


class CustomerDisputes(Step):
    """The payment service posts how a dispute at the customer's bank stands."""

    words = "dispute"
    payment: int
    at: float
    is_: Literal["needs_response", "under_review", "won", "lost"] = Field(alias="is")

    def play(self, story: Story) -> None:
        number = story.id_of(self.payment)
        told = {"object": "dispute", "id": f"dp_{number}", "payment_intent": f"pi_{number}", "charge": f"ch_{number}",
                "amount": 2000, "currency": "eur", "status": self.is_, "created": seconds(0), "as_of": at(self.at)}  # fmt: skip
        story.world.say("stripe", "disputes", told, remote_id=f"dp_{number}", event_id=f"evt_{number}_{self.at}")


class StripeRefunds(Step):
    """The payment service tells of a refund: one made there, or the copy of the shop's."""

    words = "stripe refunds"
    refund: int
    payment: int
    order: int
    amount: AsText
    at: float = 10
    is_: Literal["pending", "succeeded", "failed"] = Field("succeeded", alias="is")
    of_the_shop: bool = False
    authorised: AsText = "2000"
    captured: AsText = "2000"

    def play(self, story: Story) -> None:
        number, payment = story.id_of(self.refund), story.id_of(self.payment)
        charge = {"id": f"ch_{payment}", "amount": int(self.authorised), "amount_captured": int(self.captured),
                  "metadata": {"order_id": story.id_of(self.order)}}  # fmt: skip
        told = {
            "object": "refund", "id": f"re_{number}", "payment_intent": f"pi_{payment}", "charge": charge,
            "amount": int(self.amount), "currency": "eur", "status": self.is_, "reason": None, "created": seconds(self.at),
            "metadata": {"refund_id": number} if self.of_the_shop else {}, "as_of": at(self.at),
        }  # fmt: skip
        AT_THE_SERVICE[story.number, self.refund] = told
        story.world.say("stripe", "refunds", told, by="poll", remote_id=f"re_{number}")


class ShopifyRefunds(Step):
    """The storefront posts a refund; `is` tells what the payment service answered it."""

    words = "shopify refunds"
    refund: int
    order: int
    amount: AsText
    payment: int | None = None
    at: float = 10
    currency: str = "EUR"
    is_: Literal["success", "pending", "failure"] = Field("success", alias="is")
    records: int | None = None  # the refund at the payment service that its note names

    def play(self, story: Story) -> None:
        number = story.id_of(self.refund)
        paid_by = f"pi_{story.id_of(self.payment)}" if self.payment else None
        transaction = {
            "kind": "refund",
            "status": self.is_,
            "amount": self.amount,
            "currency": self.currency,
            "authorization": paid_by,
        }
        told = {"id": number, "order_id": story.id_of(self.order), "created_at": at(self.at), "processed_at": at(self.at),
                "note": f"{refund_key(story, self.records, 'stripe')}: Kulanz" if self.records else "Zu klein", "refund_line_items": [], "transactions": [transaction]}  # fmt: skip
        story.world.say("shopify", "refunds", told, remote_id=str(number), is_versioned=True)


class BothAreLookedAt(Step):
    """Shop and payment service are asked for all their refunds: the shop holds these, the service what it told of."""

    words = "refunds are looked at"
    in_the_shop: dict[int, AsText]  # refund: amount

    def play(self, story: Story) -> None:
        shown = [
            {"id": f"gid://shopify/Refund/{story.id_of(refund)}", "orderId": f"gid://shopify/Order/{story.id_of(1)}",
             "createdAt": at(10), "updatedAt": at(20), "note": None, "refundLineItems": [], "orderAdjustments": [],
             "transactions": [{"status": "SUCCESS", "amountSet": {"presentmentMoney": {"amount": amount, "currencyCode": "EUR"}}}]}
            for refund, amount in self.in_the_shop.items()
        ]  # fmt: skip
        held = [told for (number, _), told in AT_THE_SERVICE.items() if number == story.number]
        take_snapshot(story.world.store, "shopify", "refunds_read", holding("refunds_read", shown))
        take_snapshot(story.world.store, "stripe", "refunds", holding("refunds", held))


class ExpectDifference(Expectation):
    """What the reconciliation of shop and payment service finds of a refund, and what it suggests."""

    words = "expect difference"
    refund: int
    made_at: Literal["shopify", "stripe"] = "shopify"
    finds: Literal["missing there", "missing here", "differs"] | None
    next_step: str | None = None  # what it begins with

    def play(self, story: Story) -> None:
        _prove(story)
        key = refund_key(story, self.refund, self.made_at)
        rows = story.world.rows(
            f"select would_be, repair, steward from reconcile_refunds where refund_number = '{key}'"
        )
        assert [row["would_be"] for row in rows] == ([self.finds] if self.finds else []), rows
        for row in rows:
            assert row["steward"] == "team:finance"
            assert row["repair"].replace(str(story.number), "").startswith(self.next_step or ""), row["repair"]


class PersonDecidesRefund(Step):
    """Somebody decides how a refund stands."""

    words = "person decides refund"
    refund: int
    is_: Literal["owed", "paid", "failed"] = Field(alias="is")

    def play(self, story: Story) -> None:
        actions.decide(
            story.world.store, story.the_map, entity="refunds", key=refund_key(story, self.refund, "shopify"), field="status",
            value=self.is_, by_whom="Ada (the customer has no money)",
        )  # fmt: skip


class ExpectPayment(Expectation):
    """What we hold of a payment."""

    words = "expect payment"
    payment: int
    is_: Literal["pending", "failed", "authorised", "voided", "captured", "refunded", "unheard of"] | None = Field(
        None, alias="is"
    )
    amount: AsText | None = None
    captured: AsText | None = None
    refunded: AsText | None = None
    currency: str | None = None
    dispute: Literal["open", "won", "lost"] | None = None
    waits_for_its_order: bool | None = None

    def play(self, story: Story) -> None:
        rows = story.world.rows(f"select * from payments where payment_number = '{payment_key(story, self.payment)}'")
        if not rows:
            assert self.is_ == "unheard of", f"nothing is known of payment {self.payment}"
            return
        row = rows[0]
        found = {
            **{name: _money(row[name]) for name in ("amount", "captured", "refunded")},
            "is": row["status"], "currency": row["currency"], "dispute": row["dispute"],
            "waits_for_its_order": not row["is_order_number_known"],
        }  # fmt: skip
        self.compare(found, without=("payment",))


class ExpectRefund(Expectation):
    """What we hold of a refund, and what became of its delivery to the payment service."""

    words = "expect refund"
    refund: int
    made_at: Literal["shopify", "stripe"] = "shopify"
    is_: Literal["owed", "pending", "paid", "released", "failed", "unheard of"] | None = Field(None, alias="is")
    amount: AsText | None = None
    currency: str | None = None
    is_recorded: bool | None = None  # in the shop
    delivery: Literal["due", "applied", "parked", "none"] | None = None
    in_the_shop: Literal["due", "applied", "parked", "unknown", "none"] | None = None
    held_because: AsText | None = None  # what it says of the captured sum: not known, or how much with what before

    def play(self, story: Story) -> None:
        key = refund_key(story, self.refund, self.made_at)
        rows = story.world.rows(f"select * from refunds where refund_number = '{key}'")
        if not rows:
            assert self.is_ == "unheard of", f"nothing is known of {key}"
            return
        held = story.world.rows(
            f"select held_because from wanted_refunds where refund_number = '{key}' and is_wanted and held_because is not null"
        )
        found = {
            "is": rows[0]["status"], "amount": _money(rows[0]["amount"]), "currency": rows[0]["currency"],
            "made_at": rows[0]["origin_system"], "is_recorded": rows[0]["recorded_at"] is not None,
            "delivery": _delivery(story, "refunds_to_payments", key),
            "in_the_shop": _delivery(story, "refunds_to_storefront", key),
            "held_because": _sums(held[0]["held_because"]) if held else None,
        }  # fmt: skip
        self.compare(found, without=("refund",))


def _sums(told: str) -> str:
    """The figures of a sentence that holds a refund for the captured sum; it names who answers."""
    found = re.search(r"captured of STRIPE-pi_\d+ is (?:(not known) yet|([\d.]+), and with the ([\d.]+) of )", told)
    if found is None:
        return told
    assert told.endswith("; team:finance says which of them goes"), told
    return found[1] or f"{found[2]} with {found[3]} before"


def _delivery(story: Story, flow: str, key: str) -> str:
    """What became of the newest delivery of a flow about a record."""
    sent = "select cast(status as text) from outbox where flow = :flow and key = :key order by version desc limit 1"
    return next(iter(select(story.world.store, sent, flow=flow, key=key)), "none")


class ExpectMoneyQuarantine(Expectation):
    """Why a message about a payment stands in quarantine."""

    words = "expect payment quarantine"
    payment: int
    because: str

    def play(self, story: Story) -> None:
        key = payment_key(story, self.payment)
        rows = story.world.rows(f"select reason, steward from payments_quarantine where key = '{key}'")
        assert [(row["reason"], row["steward"]) for row in rows] == [(self.because, "team:finance")]


class ExpectProof(Expectation):
    """What a business proof finds of an order or a payment: a class and its figures, or nothing."""

    words = "expect proof"
    proof: str
    order: int | None = None
    channel: Literal["shopify", "wholesale"] = "shopify"
    payment: int | None = None
    refund: int | None = None
    made_at: Literal["shopify", "stripe"] = "shopify"
    line: int | None = None  # of a price list
    payout: int | None = None
    is_late: bool = True  # what was told a moment ago is within its promise
    what: str | None = None  # a price list by its whole name, or a currency
    finds: str | None
    one: str | None = None
    other: str | None = None
    next_step: str | None = None  # what it begins with

    def play(self, story: Story) -> None:
        entity, about = PROOFS[self.proof]
        _prove(story)
        keys = {
            "order": story.order_key(self.order or 0, self.channel),
            "payment": payment_key(story, self.payment or 0),
            "refund": refund_key(story, self.refund or 0, self.made_at),
            "line": f"ERP-{story.id_of(self.line or 0)}",
            "payout": f"STRIPE-po_{story.id_of(self.payout or 0)}",
            "what": (self.what or "").replace("?", str(story.number)),
        }
        key = keys[about]
        rows = story.world.rows(f"select * from proofs_{entity} where proof = '{self.proof}' and key = '{key}'")
        assert [row["would_be"] for row in rows] == ([self.finds] if self.finds else []), rows
        for row in rows:
            assert row["steward"]
            assert row["next_step"].startswith(self.next_step or ""), row["next_step"]
            assert row["kind"] == "late" or not self.is_late, "what was told a moment ago is within its promise"
        told = {name: value for name, value in (("one_value", self.one), ("other_value", self.other)) if value}
        assert {name: rows[0][name].replace(f"-{story.number}", "") for name in told} == told


PROVED: dict[int, int] = {}  # world: the messages that it had when everything was proved last


def _prove(story: Story) -> None:
    """Build every proof, once for all the stories that ask between two settlings."""
    settled = select(story.world.store, "select max(batch_id) from batches")[0]
    if PROVED.get(id(story.world)) != settled:
        story.world.compare(*{entity for entity, _ in PROOFS.values()})
        PROVED[id(story.world)] = settled


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:.2f}"


KINDS = {
    kind.words: kind
    for kind in (
        BothAreLookedAt, ExpectDifference, PersonDecidesRefund, StripeSays, StripeRepeats, StripeTellsOfCharge, CustomerDisputes, StripeRefunds, ShopifyRefunds, ExpectPayment,
        ExpectRefund, ExpectMoneyQuarantine, ExpectProof,
    )
}  # fmt: skip

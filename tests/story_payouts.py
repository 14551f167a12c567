"""The words in which stories speak of payouts: what moved the balance of the payment service, and what it sent to the bank."""

from typing import Any, Literal

from pydantic import Field

from tests.fixtures_world import at
from tests.story import AsText, Expectation, Step, Story
from tests.story_money import payment_key, seconds


def payout_key(story: Story, payout: int) -> str:
    return f"STRIPE-po_{story.id_of(payout)}"


class BalanceMoves(Step):
    """The payment service tells of a transaction: before its payout, which it then knows nothing of, or under it."""

    words = "balance moves"
    transaction: int
    payment: int | None = None
    payout: int | None = None
    amount: int  # in the smallest unit
    fee: int = 0
    kind: Literal["charge", "refund", "stripe_fee", "payout"] = "charge"
    currency: str = "eur"
    at: float = 10

    def play(self, story: Story) -> None:
        number = story.id_of(self.transaction)
        source = {"id": f"ch_{number}", "payment_intent": f"pi_{story.id_of(self.payment)}"} if self.payment else None
        told: dict[str, Any] = {
            "object": "balance_transaction", "id": f"txn_{number}", "type": self.kind, "amount": self.amount,
            "fee": self.fee, "net": self.amount - self.fee, "currency": self.currency, "source": source,
            "created": seconds(0), "available_on": seconds(2880), "as_of": at(self.at),
        }  # fmt: skip
        if self.payout:
            told["payout"] = f"po_{story.id_of(self.payout)}"
        story.world.say("stripe", "balance_transactions", told, by="poll", remote_id=told["id"])


class StripePaysOut(Step):
    """The payment service tells of a payout as it is now."""

    words = "stripe pays out"
    payout: int
    amount: int
    at: float = 20
    is_: Literal["pending", "in_transit", "paid", "canceled", "failed"] = Field("paid", alias="is")
    by_hand: bool = False

    def play(self, story: Story) -> None:
        told = {"object": "payout", "id": f"po_{story.id_of(self.payout)}", "amount": self.amount, "currency": "eur",
                "automatic": not self.by_hand, "status": self.is_, "created": seconds(0), "arrival_date": seconds(4000),
                "as_of": at(self.at)}  # fmt: skip
        story.world.say("stripe", "payouts", told, by="poll", remote_id=told["id"])


class ExpectTransaction(Expectation):
    """What we hold of a transaction."""

    words = "expect transaction"
    transaction: int
    payment: int | None = None
    payout: int | None = None
    fee: AsText | None = None
    net: AsText | None = None

    def play(self, story: Story) -> None:
        key = f"STRIPE-txn_{story.id_of(self.transaction)}"
        row = story.world.row(f"select * from balance_transactions where transaction_number = '{key}'")
        assert row["payment_number"] == (payment_key(story, self.payment) if self.payment else None)
        assert row["payout_number"] == (payout_key(story, self.payout) if self.payout else None)
        self.compare(
            {name: f"{row[name]:.2f}" for name in ("fee", "net")}, without=("transaction", "payment", "payout")
        )


KINDS = {kind.words: kind for kind in (BalanceMoves, StripePaysOut, ExpectTransaction)}

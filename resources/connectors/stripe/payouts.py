"""What Stripe tells of its balance: transactions with their fees, read again under the payout that they are in."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from resources.connectors.connector import Message, Page
from resources.connectors.stripe.api import StripeApi

STREAM = "balance_transactions"
OVERLAP = 60  # seconds that a poll looks back before its cursor; what is read twice is kept once
OPEN_DAYS = 31  # for how long a payout may find further transactions, whatever it says of itself
EXPANDED = ("source",)  # the charge or refund that moved the balance, which names the payment


def transactions_since(
    api: StripeApi, cursor: str | None, message: Callable[[str, dict[str, Any], datetime], Message]
) -> Iterator[Page]:
    """Transactions made since the cursor, and then those of every payout that is new or not complete, under its id.

    A transaction is made days before its payout and tells nothing of it: https://docs.stripe.com/payouts/reconciliation.
    So a payout's transactions are asked for when the payout has come, until Stripe calls the payout's list completed.
    What a payout by hand is made of Stripe does not tell.
    """
    known: dict[str, Any] = json.loads(cursor) if cursor else {"since": None, "open": []}
    since = {} if known["since"] is None else {"created[gte]": known["since"] - OVERLAP}
    began: datetime | None = None
    for answer, _ in api.pages(STREAM, since, EXPANDED):
        began = began or answer.server_time
        yield Page([message(STREAM, row, answer.server_time) for row in answer.body["data"]], cursor)
    assert began is not None
    payouts = {row["id"]: row for answer, _ in api.pages("payouts", since) for row in answer.body["data"]}
    for number in known["open"]:
        if number not in payouts and (found := api.record(f"payouts/{number}")):
            payouts[number] = found.body
    told = [payout for payout in payouts.values() if payout["automatic"] is True]
    for payout in told:
        for answer, _ in api.pages(STREAM, {"payout": payout["id"]}, EXPANDED):
            rows = [{**row, "payout": payout["id"]} for row in answer.body["data"]]
            yield Page([message(STREAM, row, answer.server_time) for row in rows], cursor)
    left = sorted(payout["id"] for payout in told if _is_open(payout, began))
    yield Page([], json.dumps({"since": int(began.timestamp()), "open": left}), is_last=True)


def _is_open(payout: Mapping[str, Any], now: datetime) -> bool:
    is_young = now.timestamp() - int(payout["created"]) < OPEN_DAYS * 86_400
    return is_young and payout.get("reconciliation_status") != "completed"

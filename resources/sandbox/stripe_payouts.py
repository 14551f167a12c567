"""The balance of the sandbox's payment service, which localstripe does not keep: transactions with fees, and daily payouts.

Shapes and filters are those of https://docs.stripe.com/api/balance_transactions and https://docs.stripe.com/api/payouts.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from aiohttp import web
from localstripe import resources as objects

Row = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEPT = "sandbox:payouts"  # in localstripe's store, so that they are saved with its books
SHARE, FIXED = 0.014, 25  # what a card costs: 1.4 % and 25 of the smallest unit
LISTS = ("/v1/balance_transactions", "/v1/payouts")


def payouts() -> list[Row]:
    """Every payout, the oldest first, each with the ids of its transactions."""
    kept: list[Row] = objects.store.setdefault(KEPT, [])
    return kept


def transactions() -> Iterator[Row]:
    """What moved the balance, the oldest first."""
    moved = [*_charges(), *_refunds()]
    yield from sorted(moved, key=lambda row: (row["created"], row["id"]))


def _charges() -> Iterator[Row]:
    for charge in _objects("charge"):
        if charge.amount_captured:
            fee = round(charge.amount_captured * SHARE) + FIXED
            yield _transaction(charge, "charge", charge.amount_captured, fee)


def _refunds() -> Iterator[Row]:
    for refund in _objects("refund"):
        charge = objects.Charge._api_retrieve(refund.charge)
        if charge.amount_captured and refund.amount != charge.amount - charge.amount_captured:
            yield _transaction(refund, "refund", -refund.amount, 0)


def _objects(kind: str) -> list[Any]:
    return [one for key, one in list(objects.store.items()) if key.startswith(f"{kind}:")]


def _transaction(source: Any, kind: str, amount: int, fee: int) -> Row:
    exported = source._export()
    told = {name: exported.get(name) for name in ("id", "object", "payment_intent", "amount", "currency", "metadata")}
    return {
        "id": f"txn_{source.id}", "object": "balance_transaction", "type": kind, "reporting_category": kind,
        "amount": amount, "fee": fee, "net": amount - fee, "currency": source.currency, "created": source.created,
        "available_on": source.created, "status": "available", "source": told, "description": None,
        "fee_details": [{"amount": fee, "currency": source.currency, "type": "stripe_fee"}] if fee else [],
    }  # fmt: skip


def pay_out() -> list[Row]:
    """Send what stands on the balance to the bank, one payout a currency; those that were made."""
    done = {number for payout in payouts() for number in payout["transactions"]}
    left = [row for row in transactions() if row["id"] not in done]
    made = []
    for currency in sorted({row["currency"] for row in left}):
        mine = [row for row in left if row["currency"] == currency]
        net = sum(row["net"] for row in mine)
        if net > 0:
            now = int(time.time())
            number = f"po_{len(payouts()) + 1:06}"
            payout = {
                "id": number, "object": "payout", "amount": net, "currency": currency, "automatic": True, "created": now,
                "arrival_date": now + 2 * 86_400, "status": "paid", "reconciliation_status": "completed",
                "balance_transaction": f"txn_{number}", "transactions": [row["id"] for row in mine],
            }  # fmt: skip
            payouts().append(payout)
            made.append(payout)
    if made:
        objects.store.dump_to_disk()
    return made


@web.middleware
async def balance(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers what localstripe would not, or otherwise than Stripe."""
    if request.method == "POST" and request.path == "/v1/sandbox/payouts":
        return web.json_response({"object": "list", "data": [_shown(payout) for payout in pay_out()]})
    if request.method != "GET" or not request.path.startswith(LISTS):
        return await handler(request)
    if (number := request.path.rpartition("/")[2]).startswith("po_"):
        found = [payout for payout in payouts() if payout["id"] == number]
        problem = {"error": {"type": "invalid_request_error", "message": f"No such payout: '{number}'"}}
        return web.json_response(_shown(found[0])) if found else web.json_response(problem, status=404)
    rows = payouts() if request.path == LISTS[1] else list(transactions())
    return web.json_response(_page(rows, request.query))


def _page(rows: list[Row], wish: Mapping[str, str]) -> Row:
    """A list as Stripe gives it: the newest first, and only what was made since, or is in the payout asked for."""
    since = int(wish.get("created[gte]", 0))
    found = [row for row in reversed(rows) if row["created"] >= since]
    if "payout" in wish:
        mine = {number for payout in payouts() if payout["id"] == wish["payout"] for number in payout["transactions"]}
        found = [row for row in found if row["id"] in mine]
    after = wish.get("starting_after")
    first = next((place + 1 for place, row in enumerate(found) if row["id"] == after), 0)
    limit = int(wish.get("limit", 10))
    shown = [_shown(row) for row in found[first : first + limit]]
    return {"object": "list", "data": shown, "has_more": len(found) > first + limit}


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "transactions"}

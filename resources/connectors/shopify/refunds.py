"""What Shopify takes of a refund that was made at the payment service: a record of it, which moves no money again.

A refund by the gateway `manual`, with no payment as its parent, is written down as paid and asks no payment service. Its
note begins with our number, by which it is found again, and by which the shop's own messages about it are known as ours.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from resources.connectors.connector import Delivery, Outcome, Result
from resources.connectors.shopify.admin_api import AdminApi, number_of, problem_of

OF_OURS = re.compile(r"STRIPE-re_\w+")  # with which a note begins that names its refund


def record(api: AdminApi, one: Delivery) -> Outcome:
    """Write the refund down once. Raises Unreachable, Refused or NoAnswer."""
    number = _order_number(one)
    if number is None:
        return Outcome.refused(one, f"refund {one.key} names no order of the shop; {_by_hand(one)}")
    order = _order(api, number)
    if order is None:
        return Outcome.refused(one, f"order {one.payload['order_number']} is not in the shop (id {number})")
    if mine := _mine(one, order):
        return _applied(one, mine[0])
    currency = str(one.payload.get("currency"))
    if currency != order["presentmentCurrencyCode"]:
        return Outcome.refused(
            one, f"{order['name']} was paid in {order['presentmentCurrencyCode']}, the refund is in {currency}"
        )
    if others := _others_of_its_amount(one, order):
        other = number_of(str(others[0]["id"]))
        return Outcome.refused(
            one,
            f"{order['name']} has a refund {other} of the same amount in the shop; if it is this one, say so: "
            f"`concord link refunds stripe {one.key.removeprefix('STRIPE-')} SHOP-{other}`; if it is another, {_by_hand(one)}",
        )
    done = _written(api, one, number, key=str(uuid.uuid5(uuid.NAMESPACE_URL, f"refund {one.key}")))
    if "idempotency key" in (problem_of(done) or ""):
        done = _written(api, one, number, key=str(uuid.uuid4()))  # that key is spent on an earlier failure
    problem = problem_of(done)
    if done is None or problem:
        return Outcome.refused(
            one, f"Shopify does not record refund {one.key} of {order['name']}: {problem}; {_by_hand(one)}"
        )
    return _applied(one, done["refund"])


def find(api: AdminApi, one: Delivery) -> Outcome:
    """Whether the shop has written it down."""
    number = _order_number(one)
    order = _order(api, number) if number else None
    if order and (mine := _mine(one, order)):
        return _applied(one, mine[0])
    return Outcome(one.delivery_id, Result.RETRY, reason=f"the shop has no refund whose note begins with {one.key}")


def _order(api: AdminApi, number: str) -> dict[str, Any] | None:
    order: dict[str, Any] | None = api.ask("ToRefund", {"id": f"gid://shopify/Order/{number}"}).data["order"]
    return order


def _written(api: AdminApi, one: Delivery, number: str, *, key: str) -> dict[str, Any] | None:
    order = f"gid://shopify/Order/{number}"
    wish = {
        "orderId": order,
        "note": f"{one.key}: {one.payload.get('reason') or 'made at the payment service'}",
        "notify": False,
        "currency": one.payload["currency"],
        "transactions": [
            {"orderId": order, "kind": "REFUND", "gateway": "manual", "amount": str(one.payload.get("amount"))}
        ],
    }
    done: dict[str, Any] | None = api.write("RecordRefund", {"input": wish, "key": key})["refundCreate"]
    return done


def _mine(one: Delivery, order: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [refund for refund in order["refunds"] if _named(refund) == one.key]


def _others_of_its_amount(one: Delivery, order: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Refunds that name none of ours and may be this one: told by the shop, or made by it without an answer."""
    amount = Decimal(str(one.payload.get("amount")))
    return [refund for refund in order["refunds"] if _named(refund) is None and _amount(refund) == amount]


def _named(refund: Mapping[str, Any]) -> str | None:
    found = OF_OURS.match(refund["note"] or "")
    return found[0] if found else None


def _amount(refund: Mapping[str, Any]) -> Decimal:
    """What its transactions come to, also those that failed, which its total leaves out."""
    told = [Decimal(part["amountSet"]["presentmentMoney"]["amount"]) for part in refund["transactions"]["nodes"]]
    return sum(told, Decimal(0))


def _order_number(one: Delivery) -> str | None:
    found = re.fullmatch(r"SHOP-(\d+)", str(one.payload.get("order_number") or ""))
    return found[1] if found else None


def _by_hand(one: Delivery) -> str:
    return f"record it in the shop as paid by hand, with a note that begins with {one.key}"


def _applied(one: Delivery, refund: Mapping[str, Any]) -> Outcome:
    return Outcome(one.delivery_id, Result.APPLIED, remote_id=number_of(str(refund["id"])))

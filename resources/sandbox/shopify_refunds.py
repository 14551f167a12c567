"""Refunds that apps ask the sandbox shop for by `refundCreate`, of the one kind that moves no money: by the gateway `manual`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from graphql import GraphQLError

from resources.sandbox.shopify_ids import number_of
from resources.sandbox.shopify_shop import NotPossible, Shop

UNDERSTOOD = ("orderId", "note", "notify", "currency", "transactions")
SIGNS = {"EUR": "€", "GBP": "£", "USD": "$", "CAD": "$", "JPY": "¥"}


def refund_by_app(shop: Shop, wish: Mapping[str, Any]) -> dict[str, Any]:
    """The id of the refund that was written down, or why there is none, in the words of the real one."""
    if unknown := [name for name, value in wish.items() if value and name not in UNDERSTOOD]:
        raise GraphQLError(f"the sandbox shop refunds nothing by {unknown[0]}")
    order_id = number_of(wish["orderId"], "Order") or 0
    transactions = wish.get("transactions") or []
    if any(one["gateway"] != "manual" or one["kind"] != "REFUND" or one.get("parentId") for one in transactions):
        raise GraphQLError("the sandbox shop gives apps no money: it takes refunds by the gateway manual alone")
    try:
        order = shop.order(order_id)
    except NotPossible:
        return _refused("Order does not exist", ["orderId"])
    if wish.get("currency") not in (None, order["presentment_currency"]):
        return _refused("Currency must be the presentment currency of the order", ["currency"])
    amount = sum((Decimal(str(one["amount"])) for one in transactions), Decimal(0))
    net = net_payment(order)
    if amount > net:
        sign = SIGNS.get(order["presentment_currency"], order["presentment_currency"] + " ")
        return _refused(f"Refund amount {sign}{amount:.2f} is greater than net payment received {sign}{net:.2f}")
    try:
        refund = shop.refund(order_id, amount, status="success", note=wish.get("note"), gateway="manual")
    except NotPossible as reason:
        return _refused(str(reason))
    return {"refund": refund["admin_graphql_api_id"], "userErrors": []}


def net_payment(order: Mapping[str, Any]) -> Decimal:
    """What the shop knows to have been paid and not given back."""
    if order["financial_status"] not in ("paid", "partially_refunded", "refunded"):
        return Decimal(0)
    back = [
        Decimal(one["amount"])
        for refund in order["refunds"]
        for one in refund["transactions"]
        if one["status"] in ("success", "pending")
    ]
    return Decimal(order["total_price"]) - sum(back, Decimal(0))


def _refused(message: str, field: list[str] | None = None) -> dict[str, Any]:
    return {"refund": None, "userErrors": [{"field": field, "message": message}]}

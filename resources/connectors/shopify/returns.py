"""Refunds and returns as the Admin API answers them inside their orders, told one by one and flat."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
LISTS = ("transactions", "refundLineItems", "orderAdjustments", "returnLineItems", "exchangeLineItems")


def refunds_of(orders: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The refunds of these orders, each with the order's id."""
    return [{**_flat(refund), "orderId": order["id"]} for order in orders for refund in order["refunds"]]


def returns_of(orders: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The returns of these orders, each with the order's id and its time of change, for it tells none of its own."""
    return [
        {**_flat(told), "orderId": order["id"], "updatedAt": order["updatedAt"]}
        for order in orders
        for told in order["returns"]["nodes"]
    ]


def _flat(record: Mapping[str, Any]) -> Row:
    return {name: value["nodes"] if name in LISTS else value for name, value in record.items()}

"""Returns of the sandbox shop: how a customer's return is opened, moves on and is refunded, in REST and in GraphQL."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from resources.sandbox.shopify_orders import (
    ZERO,
    allocated,
    graphql_time,
    in_both_currencies,
    money_bag,
    rest_time,
    rounded,
    tax_of,
)

FIRST_RETURN_ID = 9_100_000_000
MOVES = {  # step: from where, to where
    "approve": (("requested",), "open"),
    "decline": (("requested",), "declined"),
    "cancel": (("open",), "canceled"),
    "close": (("open",), "closed"),
    "reopen": (("closed",), "open"),
}


class NoSuchStep(Exception):
    """The return cannot take this step from where it stands."""


def rest_return(order: Mapping[str, Any], quantities: Mapping[int, int], *, n: int, reason: str) -> dict[str, Any]:
    """The order's n-th return, requested, of so many of each line."""
    return_id = FIRST_RETURN_ID + order["number"] * 10 + n
    lines = [one for one in order["line_items"] if one["id"] in quantities]
    return {
        "id": return_id,
        "admin_graphql_api_id": f"gid://shopify/Return/{return_id}",
        "order": {"id": order["id"], "admin_graphql_api_id": order["admin_graphql_api_id"]},
        "name": f"{order['name']}-R{n}",
        "status": "requested",
        "created_at": rest_time(datetime.now(UTC)),
        "closed_at": None,
        "total_return_line_items": len(lines),
        "return_line_items": [
            {
                "id": line["id"] + 5,
                "admin_graphql_api_id": f"gid://shopify/ReturnLineItem/{line['id'] + 5}",
                "fulfillment_line_item": {"id": line["id"] + 3, "line_item": {"id": line["id"], "sku": line["sku"]}},
                "quantity": quantities[line["id"]],
                "return_reason": reason,
                "return_reason_note": "",
                "customer_note": None,
            }
            for line in lines
        ],
        "exchange_line_items": [],
    }


def stepped(told: Mapping[str, Any], step: str) -> dict[str, Any]:
    """The return after that step. Raises NoSuchStep."""
    came_from, status = MOVES[step]
    if told["status"] not in came_from:
        raise NoSuchStep(f"Return {told['name']} is {told['status']}, and cannot {step}.")
    closed_at = rest_time(datetime.now(UTC)) if status == "closed" else None
    return {**told, "status": status, "closed_at": closed_at}


def refund_line(order: Mapping[str, Any], line: Mapping[str, Any], quantity: int, restock: str) -> dict[str, Any]:
    """What a refund takes back of a line: its share of what was paid for it."""
    share = Decimal(quantity) / line["quantity"]
    subtotal = Decimal(line["price"]) * quantity - allocated(line) * share
    tax = tax_of([line]) * share
    own = Decimal(line["price_set"]["shop_money"]["amount"])
    rate = Decimal(line["price_set"]["presentment_money"]["amount"]) / own if own else Decimal(1)
    return {
        "id": line["id"] + 7 + 10 * len(order["refunds"]),
        "line_item_id": line["id"],
        "quantity": quantity,
        "restock_type": restock,
        "subtotal": str(rounded(subtotal, order["currency"])),
        "subtotal_set": in_both_currencies(order, subtotal, rate),
        "total_tax": str(rounded(tax, order["currency"])),
        "total_tax_set": in_both_currencies(order, tax, rate),
        "line_item": dict(line),
    }


def worth_of(order: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> Decimal:
    """What these parts of a refund are worth to the customer."""
    tax = ZERO if order["taxes_included"] else sum((Decimal(part["total_tax"]) for part in parts), ZERO)
    return sum((Decimal(part["subtotal"]) for part in parts), ZERO) + tax


def graphql_refund_line(part: Mapping[str, Any]) -> dict[str, Any]:
    line = part["line_item"]
    return {
        "id": f"gid://shopify/RefundLineItem/{part['id']}",
        "quantity": part["quantity"],
        "restockType": part["restock_type"].upper(),
        "restocked": part["restock_type"] in ("return", "cancel"),
        "priceSet": money_bag(line["price_set"]),
        "subtotalSet": money_bag(part["subtotal_set"]),
        "totalTaxSet": money_bag(part["total_tax_set"]),
        "lineItem": {"id": f"gid://shopify/LineItem/{part['line_item_id']}", "sku": line["sku"]},
    }


def graphql_return(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "Return",
        "id": told["admin_graphql_api_id"],
        "name": told["name"],
        "status": told["status"].upper(),
        "createdAt": graphql_time(told["created_at"]),
        "closedAt": graphql_time(told["closed_at"]),
        "totalQuantity": sum(part["quantity"] for part in told["return_line_items"]),
        "returnLineItems": [
            {
                "__typename": "ReturnLineItem",
                "id": part["admin_graphql_api_id"],
                "quantity": part["quantity"],
                "returnReason": part["return_reason"].upper(),
                "fulfillmentLineItem": {
                    "id": f"gid://shopify/FulfillmentLineItem/{part['fulfillment_line_item']['id']}",
                    "lineItem": {
                        "id": f"gid://shopify/LineItem/{part['fulfillment_line_item']['line_item']['id']}",
                        "sku": part["fulfillment_line_item"]["line_item"]["sku"],
                    },
                },
            }
            for part in told["return_line_items"]
        ],
        "exchangeLineItems": [
            {
                "id": f"gid://shopify/ExchangeLineItem/{part['id']}",
                "quantity": part["quantity"],
                "variantSku": part["sku"],
            }
            for part in told["exchange_line_items"]
        ],
    }

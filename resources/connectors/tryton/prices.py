"""What Tryton's price lists say: each line with the price that its formula comes to."""

import ast
import operator
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, DecimalException
from typing import Any

from resources.connectors.tryton.orders import PRICE_DIGITS
from resources.connectors.tryton.rpc import number_text

PRICE_LINE = [  # what is read of a line
    "quantity", "formula", "start_date", "end_date", "write_date", "create_date",
    "product.code", "product.list_price_used", "product.cost_price",
    *(f"price_list.{name}" for name in ("name", "active", "tax_included", "price", "write_date", "create_date")),
    "price_list.company.id", "price_list.company.currency.code",
]  # fmt: skip
DOES: dict[type, Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def price_line(row: Mapping[str, Any], company: int) -> dict[str, Any]:
    """A line as it stands. What is no price of one product, or no plain formula, has no SKU or no amount.

    `company` is ours: a list of another counts in that one's currency, and our product's price says nothing there.
    """
    price_list, product = row["price_list."], row["product."] or {}
    owner = price_list["company."]
    values = {"list_price": product.get("list_price_used"), "cost_price": product.get("cost_price")}
    values["unit_price"] = values.get(price_list["price"])
    if owner["id"] != company:
        values = {}
    return {
        "id": str(row["id"]),
        "list": price_list["name"],
        "active": bool(price_list["active"]),
        "sku": product.get("code"),
        "quantity": number_text(row["quantity"] or 1),
        "formula": row["formula"],
        "amount": number_text(price_of(row["formula"], values)),
        "currency": owner["currency."]["code"],
        "tax_included": bool(price_list["tax_included"]),
        "start_date": row["start_date"].isoformat() if row["start_date"] else None,
        "end_date": row["end_date"].isoformat() if row["end_date"] else None,
    }


def price_of(formula: str, values: Mapping[str, Decimal | None]) -> Decimal | None:
    """What a formula comes to, rounded as Tryton rounds prices; none where it is more than a sum of these values."""
    try:
        price = _reckon(ast.parse(formula, mode="eval").body, values)
    except (SyntaxError, KeyError, TypeError, ValueError, DecimalException):
        return None
    return price.quantize(Decimal(1).scaleb(-PRICE_DIGITS), ROUND_HALF_EVEN)


def _reckon(node: ast.expr, values: Mapping[str, Decimal | None]) -> Decimal:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Decimal(repr(number))
        case ast.Name(id=name) if (value := values[name]) is not None:
            return value
        case ast.BinOp(left=left, op=does, right=right):
            return DOES[type(does)](_reckon(left, values), _reckon(right, values))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_reckon(operand, values)
        case ast.Call(func=ast.Name(id="Decimal"), args=[ast.Constant(value=str() | int() as digits)]):
            return Decimal(digits)
    raise ValueError(ast.unparse(node))

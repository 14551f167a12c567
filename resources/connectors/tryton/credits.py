"""Refunds in Tryton: each becomes a return sale of its own, whose invoice is a posted credit note.

The sale carries the refund's number as its reference, so that it is found again after a lost answer and never made twice.
It moves no goods: what comes back is booked where it is taken in.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from resources.connectors.connector import Delivery, Outcome, Result
from resources.connectors.tryton.orders import (
    DISCOUNT,
    NOTHING,
    PRICE_DIGITS,
    ROUNDING,
    Line,
    Unsuitable,
    day_of,
    total_of,
)
from resources.connectors.tryton.records import Product, Records, by_reference

REFUND = "REFUND "  # how the reference of a return sale begins: no order is called so
OF_ORDER = "Credit of order "
TO_CREDIT = ("confirmed", "processing", "done")
POSTED = ("posted", "paid")
ORIGINAL = ["reference", "state", "party", "invoice_address", "shipment_address", "currency", "total_amount"]
ORIGINAL += ["currency.code", "currency.digits", "lines.quantity", "lines.unit", "lines.unit_price", "lines.product"]
ORIGINAL += ["lines.product.code", "lines.taxes", "lines.taxes.rate"]
CREDIT = ["reference", "state", "description", "total_amount", "invoices.state", "invoices.number"]

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """A line of a return sale, and the ids by which Tryton knows what it says."""

    line: Line
    product: int
    unit: int
    taxes: tuple[int, ...]

    @property
    def values(self) -> Row:
        told = {"product": self.product, "unit": self.unit, "quantity": float(self.line.quantity)}
        return {**told, "unit_price": self.line.unit_price, "taxes": [("add", list(self.taxes))] if self.taxes else []}


def reference_of(delivery: Delivery) -> str:
    """What the refund's sale is called in Tryton."""
    return REFUND + delivery.key


def credit(records: Records, deliveries: Sequence[Delivery]) -> list[Outcome]:
    """Bring a batch of refunds into Tryton and post their credit notes. What stands there is left alone, so it may be called
    again at any time. Raises Refused, NoAnswer or Unreachable."""
    rpc = records.rpc
    orders = sorted({str(one.payload.get("order_number")) for one in deliveries})
    originals = {number: some[0] for number, some in _sales(records, "reference", orders, ORIGINAL).items()}
    credits = _credits(records, orders)
    services = records.products({DISCOUNT, ROUNDING})
    outcomes: list[Outcome] = []
    new: list[tuple[Delivery, Row]] = []
    standing = {str(row["reference"]): row for some in credits.values() for row in some}
    for one in deliveries:
        number = str(one.payload.get("order_number"))
        if reference_of(one) in standing:
            continue
        original = originals.get(number)
        if original is None or original["state"] not in (*TO_CREDIT, "cancelled"):
            told = f"order {number} has no confirmed sale in Tryton yet, so there is nothing to credit"
            outcomes.append(Outcome(one.delivery_id, Result.RETRY, reason=told))
        elif original["state"] == "cancelled":
            told = f"the sale of order {number} is cancelled, so there is nothing left to credit"
            outcomes.append(Outcome(one.delivery_id, Result.APPLIED, reason=told))
        else:
            try:
                new.append((one, _sale(records, one, original, credits.get(number, []), services)))
            except Unsuitable as problem:
                outcomes.append(Outcome(one.delivery_id, Result.REFUSED, reason=f"refund {one.key}: {problem}"))
    if new:
        rpc.call("sale.sale.create", [values for _, values in new])
    _post(records, [reference_of(one) for one in deliveries])
    answered = {outcome.delivery_id for outcome in outcomes}
    return outcomes + find(records, [one for one in deliveries if one.delivery_id not in answered])


def find(records: Records, deliveries: Sequence[Delivery]) -> list[Outcome]:
    """Whether each refund has its posted credit note: one search for the whole batch."""
    found = (
        _sales(records, "reference", sorted({reference_of(one) for one in deliveries}), CREDIT) if deliveries else {}
    )
    outcomes = []
    for one in deliveries:
        sale = next((row for row in found.get(reference_of(one), []) if row["state"] != "cancelled"), None)
        is_posted = sale is not None and any(note["state"] in POSTED for note in sale["invoices."])
        outcomes.append(
            Outcome(one.delivery_id, Result.APPLIED, str(sale["id"]))
            if sale and is_posted
            else Outcome(one.delivery_id, Result.RETRY, reason=f"Tryton has no posted credit note of refund {one.key}")
        )
    return outcomes


def _sales(records: Records, field: str, words: Sequence[str], fields: Sequence[str]) -> dict[str, list[Row]]:
    rows = records.rpc.call("sale.sale.search_read", [(field, "in", list(words))], 0, None, None, list(fields))
    return by_reference(rows)


def _credits(records: Records, orders: Sequence[str]) -> dict[str, list[Row]]:
    """The return sales of these orders that stand, by the order."""
    found = _sales(records, "description", [OF_ORDER + number for number in orders], CREDIT)
    by_order: dict[str, list[Row]] = {}
    for row in (row for some in found.values() for row in some if row["state"] != "cancelled"):
        by_order.setdefault(str(row["description"]).removeprefix(OF_ORDER), []).append(row)
    return by_order


def _sale(
    records: Records, one: Delivery, original: Row, credited: Iterable[Row], services: Mapping[str, Product]
) -> Row:
    """The return sale of a refund. Raises Unsuitable with the sentence for a person."""
    number, currency = one.payload["order_number"], original["currency."]
    if one.payload.get("currency") != currency["code"]:
        told = f"it is in {one.payload.get('currency')}, and the sale of order {number} in {currency['code']}"
        raise Unsuitable(f"{told}; credit it by hand at the rate that the customer had")
    pieces, worth = _goods(one, original)
    due = worth if str(one.payload.get("is_exchange")).lower() == "true" else _amount(one.payload.get("amount"))
    before = -sum((Decimal(row["total_amount"] or 0) for row in credited), NOTHING)
    if due + before > Decimal(original["total_amount"]):
        raise Unsuitable(
            f"it would credit {due} {currency['code']} of order {number}, of whose {original['total_amount']} {before} "
            "are credited already; find out which of its refunds was made twice"
        )
    pieces += _rest(original, pieces, due, int(currency["digits"]), services)
    return {
        **records.rpc.context,
        "reference": reference_of(one),
        "description": OF_ORDER + str(number),
        **{name: original[name] for name in ("party", "invoice_address", "shipment_address", "currency")},
        "warehouse": records.warehouse,
        "sale_date": day_of(one.payload, "refunded_at", records.zone),
        "invoice_method": "order",
        "shipment_method": "manual",
        "lines": [("create", [piece.values for piece in pieces])],
    }


def _goods(one: Delivery, original: Row) -> tuple[list[Piece], Decimal]:
    """The goods that the refund takes back, at the prices of the sale, and what they are worth to the customer."""
    sold = {str((line["product."] or {}).get("code")): line for line in original["lines."]}
    pieces, worth = [], NOTHING
    for told in one.payload.get("lines") or ():
        line = sold.get(str(told.get("sku")))
        if told.get("restock") == "cancelled":
            continue
        rate = sum((Decimal(tax["rate"]) for tax in line["taxes."]), NOTHING) if line else NOTHING
        subtotal, tax = _amount(told.get("subtotal")), _amount(told.get("tax"))
        is_contained = abs(tax - subtotal * rate / (1 + rate)) < abs(tax - subtotal * rate)
        worth += subtotal if is_contained or not line else subtotal + tax
        if line is None:  # its product is called otherwise by now: the money is credited, without the goods
            continue
        quantity = min(_amount(told.get("quantity")), Decimal(line["quantity"]))
        goods = Line(str(told["sku"]), -quantity, line["unit_price"], rate)
        pieces.append(Piece(goods, line["product"], line["unit"], tuple(line["taxes"])))
    return pieces, worth


def _rest(
    original: Row, pieces: Sequence[Piece], due: Decimal, digits: int, services: Mapping[str, Product]
) -> list[Piece]:
    """What is credited beside the goods, or less than them, taxed as the dearest rate of the sale; then what rounding left."""
    lines = [piece.line for piece in pieces]
    off = -due - total_of(lines, digits)
    if not off:
        return []
    taxed = max(original["lines."], key=lambda line: sum((Decimal(tax["rate"]) for tax in line["taxes."]), NOTHING))
    rate = sum((Decimal(tax["rate"]) for tax in taxed["taxes."]), NOTHING)
    price = (off / (1 + rate)).quantize(Decimal(1).scaleb(-PRICE_DIGITS), ROUND_HALF_EVEN)
    rest = [_service(services[DISCOUNT], Line(DISCOUNT, Decimal(1), price, rate), tuple(taxed["taxes"]))]
    if left := -due - total_of([*lines, rest[0].line], digits):
        rest.append(_service(services[ROUNDING], Line(ROUNDING, Decimal(1), left, NOTHING), ()))
    return rest


def _service(product: Product, line: Line, taxes: tuple[int, ...]) -> Piece:
    return Piece(line, product.product, product.unit, taxes)


def _post(records: Records, references: Sequence[str]) -> None:
    """Take these return sales, where they stand, to their posted credit notes."""
    call = records.rpc.call
    sales = [row for some in _sales(records, "reference", references, CREDIT).values() for row in some]
    if drafts := [row["id"] for row in sales if row["state"] == "draft"]:
        call("sale.sale.quote", drafts)
    if quoted := [row["id"] for row in sales if row["state"] in ("draft", "quotation")]:
        call("sale.sale.confirm", quoted)
    if waiting := [row["id"] for row in sales if row["state"] != "cancelled" and not row["invoices."]]:
        call("sale.sale.process", waiting)
    fields = ["reference", "state", "invoices.state"]
    for sale in call("sale.sale.read", [row["id"] for row in sales], fields) if sales else ():
        if open_notes := [note["id"] for note in sale["invoices."] if note["state"] in ("draft", "validated")]:
            call("account.invoice.write", open_notes, {"reference": sale["reference"]})
            for number in open_notes:  # a rounding bears no tax, and Tryton would ask whether that is meant
                call("res.user.warning.skip", _warning_of(number), False)
            call("account.invoice.post", open_notes)


def _warning_of(invoice: int) -> str:
    """By what name Tryton asks whether an invoice may have other taxes than its products."""
    return hashlib.md5(f"account.invoice,{invoice}".encode(), usedforsecurity=False).hexdigest() + ".invoice_taxes"


def _amount(value: Any) -> Decimal:
    try:
        return Decimal(str(value)) if value not in (None, "") else NOTHING
    except InvalidOperation as problem:
        raise Unsuitable(f"{value!r} is no amount") from problem

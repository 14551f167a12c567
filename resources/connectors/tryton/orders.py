"""An order in our words, told in Tryton's: its lines to the cent, and who and where its customer is. No network here."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

PRICE_DIGITS = 4  # Tryton's own default (product.price_decimal); it refuses a unit price with more
HALF_A_PRICE_STEP = Decimal("0.00005")
SHIPPING, DISCOUNT, ROUNDING = "SHIPPING", "DISCOUNT", "ROUNDING"  # services that carry what no product does
SHIPS_FROM = "Ships from "  # begins the note of a line that has its place
NOTHING = Decimal(0)


class Unsuitable(Exception):
    """The order cannot be a sale as it is; the text is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a sale; its price is net, its rate a fraction (0.2), zero for no tax."""

    sku: str
    quantity: Decimal
    unit_price: Decimal
    rate: Decimal
    note: str | None = None  # what people read beside it: who ships it, what the customer chose

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


@dataclass(frozen=True, slots=True)
class Customer:
    """Who buys and where it goes. `code` is the same for the same customer, so nobody is made twice."""

    code: str
    name: str
    shop_number: str | None  # what the shop calls them
    email: str | None
    phone: str | None
    recipient: str | None
    street: str | None
    city: str | None
    postcode: str | None
    country: str | None

    @property
    def place(self) -> tuple[str, ...]:
        """The address as it is compared: two spellings that differ in case or spaces are one address."""
        return place(self.recipient, self.street, self.city, self.postcode, self.country)


def place(*parts: str | None) -> tuple[str, ...]:
    return tuple(re.sub(r"\s+", " ", part or "").strip().casefold() for part in parts)


def customer_of(order: Mapping[str, Any]) -> Customer:
    """By the shop's number; else by email; else by another channel's own; else by name and address; else by the order."""
    said = {
        key: (str(order.get(key) or "")).strip() or None
        for key in ("email", "phone", "customer", "shop_number", "name")
    }
    at = {key: (str(order.get(key) or "")).strip() or None for key in ("street", "city", "postcode", "country")}
    if said["shop_number"]:
        known_by = f"customer of the shop {said['shop_number']}"
    elif said["email"]:
        known_by = f"email {said['email'].lower()}"
    elif said["customer"]:
        known_by = f"customer {said['customer']}"
    elif said["name"] and at["street"]:
        known_by = f"address {place(said['name'], at['street'], at['postcode'], at['city'], at['country'])}"
    else:
        known_by = f"order {order['order_number']}"
    stranger = f"Customer {said['customer']}" if said["customer"] else f"Guest of order {order['order_number']}"
    return Customer(
        code="WEB-" + hashlib.sha256(known_by.encode()).hexdigest()[:12].upper(),
        name=said["name"] or said["email"] or stranger,
        shop_number=said["shop_number"],
        email=said["email"],
        phone=said["phone"],
        recipient=said["name"],
        **{**at, "country": at["country"].upper() if at["country"] else None},
    )


def day_of(told: Mapping[str, Any], name: str, zone: ZoneInfo) -> date | None:
    """The day of that moment where the books are kept: half an hour past midnight is not yet the day before."""
    text = told.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise Unsuitable(f"{name} is {text!r}, which is no time") from error
    return (moment.astimezone(zone) if moment.tzinfo else moment).date()


def lines_of(order: Mapping[str, Any], digits: int) -> list[Line]:
    """The lines whose sum, with tax, is the order's total in a currency of that many digits. Raises Unsuitable.

    A storefront tells neither the tax rate of its shipping nor, after an edit, the discount of each remaining piece, so
    the ways to read it are tried, and that which meets the total is the right one. What is left is rounding.
    """
    goods = [_goods(line, order) for line in order.get("lines") or () if _number(line.get("quantity"), "quantity")]
    if not goods:
        raise Unsuitable("it has no lines left; cancel it where it began")
    total = _number(order.get("total"), "total") if order.get("total") not in (None, "") else None
    # each piece may be off by half a step of its price, each line and each tax by half a cent
    step = Decimal(1).scaleb(-digits)
    pieces = sum((abs(line.quantity) * (1 + line.rate) for line, _ in goods), NOTHING)
    slack = pieces * HALF_A_PRICE_STEP + step / 2 * (len(goods) + 4)
    best: tuple[Decimal, list[Line]] | None = None
    for reading in _readings(order, goods):
        off = (total if total is not None else NOTHING) - total_of(reading, digits)
        if best is None or abs(off) < abs(best[0]):
            best = (off, reading)
        if total is None or not off:
            break
    assert best is not None
    off, lines = best
    if total is None or not off:
        return lines
    if abs(off) > slack:
        raise Unsuitable(
            f"its lines, shipping, discounts and taxes come to {total - off} {order.get('currency')}, "
            f"but its total is {total}; correct it where it began"
        )
    return [*lines, Line(ROUNDING, Decimal(1), off, NOTHING)]


def total_of(lines: Iterable[Line], digits: int) -> Decimal:
    """What Tryton will say that a sale of these lines comes to: lines are rounded one by one, taxes rate by rate, those of
    what is charged apart from those of what is taken off."""
    step = Decimal(1).scaleb(-digits)
    net, taxes = NOTHING, defaultdict[tuple[Decimal, bool], Decimal](Decimal)
    for line in lines:
        net += line.amount.quantize(step, ROUND_HALF_EVEN)
        taxes[line.rate, line.amount < 0] += line.amount * line.rate
    return net + sum((tax.quantize(step, ROUND_HALF_EVEN) for tax in taxes.values()), NOTHING)


def _goods(line: Mapping[str, Any], order: Mapping[str, Any]) -> tuple[Line, Decimal]:
    """A line and its net discount."""
    sku = str(line.get("sku") or "").strip()
    if not sku:
        raise Unsuitable(f"line {line.get('line_id') or ''} has no SKU; give its product one".replace("  ", " "))
    rate = _number(line.get("tax_rate"), "tax_rate")
    quantity = _number(line.get("quantity"), "quantity")
    price = _net(_number(line.get("unit_price"), "unit_price"), rate, order)
    discount = line["discount_total"] if line.get("discount_total") is not None else line.get("discount")
    return Line(sku, quantity, _price(price), rate, _note(line)), _net(_number(discount, "discount"), rate, order)


def _note(line: Mapping[str, Any]) -> str | None:
    """What the customer chose for a line, and who ships it."""
    told = [f"{SHIPS_FROM}{line['ships_from']}"] if line.get("ships_from") else []
    return "\n".join([*told, *filter(None, [line.get("properties")])]) or None


def comment_of(order: Mapping[str, Any]) -> str | None:
    """What the sale's comment keeps of an order: where it was placed, under which number there, and what else was asked."""
    named = {"Channel": order.get("channel"), "Marketplace order": order.get("marketplace_number")}
    told = [f"{name}: {value}" for name, value in named.items() if value]
    return "\n".join([*told, *filter(None, [order.get("attributes"), order.get("note")])]) or None


def _readings(order: Mapping[str, Any], goods: list[tuple[Line, Decimal]]) -> Iterable[list[Line]]:
    """Every way in which discounts and shipping may be meant, the most likely first."""
    products = [line for line, _ in goods]
    by_rate: dict[Decimal, Decimal] = defaultdict(Decimal)
    gross = NOTHING
    for line, discount in goods:
        by_rate[line.rate] += discount
        gross += discount * (1 + line.rate if _is_gross(order) else 1)
    said = _number(order.get("discount_total"), "discount_total") if order.get("discount_total") else gross
    shipping = _number(order.get("shipping_total"), "shipping_total")
    rates = sorted({line.rate for line in products}, reverse=True)
    for shipping_rate in dict.fromkeys((*rates, NOTHING)):
        ways = [dict(by_rate)]
        if said > gross:  # a discount of the whole order, or of its shipping
            rest = {rate: by_rate[rate] for rate in by_rate}
            rest[shipping_rate] = rest.get(shipping_rate, NOTHING) + _net(said - gross, shipping_rate, order)
            ways.insert(0, rest)
        elif gross and said < gross:  # pieces were removed, their share of the discount went with them
            ways.append({rate: amount * said / gross for rate, amount in by_rate.items()})
        for way in ways:
            discounts = [Line(DISCOUNT, Decimal(1), -_price(amount), rate) for rate, amount in way.items() if amount]
            if not shipping:
                yield [*products, *discounts]
                continue
            yield [
                *products,
                Line(SHIPPING, Decimal(1), _price(_net(shipping, shipping_rate, order)), shipping_rate),
                *discounts,
            ]


def _is_gross(order: Mapping[str, Any]) -> bool:
    return str(order.get("prices_include_tax")).lower() == "true"


def _net(amount: Decimal, rate: Decimal, order: Mapping[str, Any]) -> Decimal:
    return amount / (1 + rate) if _is_gross(order) else amount


def _price(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-PRICE_DIGITS), ROUND_HALF_EVEN)


def _number(value: Any, name: str) -> Decimal:
    if value in (None, ""):
        return NOTHING
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise Unsuitable(f"{name} is {value!r}, which is no number") from error
    if not number.is_finite():
        raise Unsuitable(f"{name} is {value!r}, which is no number")
    return number

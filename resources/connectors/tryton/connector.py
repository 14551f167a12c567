"""Tryton, the ERP: orders become confirmed sales; sales, products, stock and shipments are polled."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Any

from resources.connectors.connector import (
    BatchRefused,
    Connector,
    Delivery,
    Outcome,
    Page,
    Result,
    Unreachable,
    one_by_one_where_needed,
)
from resources.connectors.tryton import credits
from resources.connectors.tryton.orders import Customer, Line, Unsuitable, comment_of, customer_of, day_of, lines_of
from resources.connectors.tryton.parties import carry_numbers
from resources.connectors.tryton.records import Records, by_reference, place_of
from resources.connectors.tryton.rpc import NoAnswer, Refused, Rpc, rpc_for
from resources.connectors.tryton.streams import STREAMS, changes_since, everything, is_changed, stream_named

BATCH = (
    40  # sales in one call: 10 are a third slower each, 100 a tenth faster, but one bad record or silence costs more
)
LINE_FIELDS = ["product", "quantity", "unit_price", "taxes", "note"]
SALE_FIELDS = [
    "reference",
    "state",
    "party",
    "currency",
    "comment",
    "shipments.state",
    "shipments.number",
    "invoices.state",
    "invoices.number",
    "shipment_address.party_name",
    "shipment_address.street",
    "shipment_address.city",
    "shipment_address.postal_code",
    "shipment_address.country.code",
    *(f"lines.{field}" for field in LINE_FIELDS),
]
OPEN, ON_ITS_WAY = ("draft", "quotation"), ("confirmed", "processing", "done")
LEFT = ("shipped", "done")  # a parcel in these states has left the house
IN_HAND = ("picked", "packed")  # somebody stands before it with the old list


@dataclass(frozen=True, slots=True)
class Wanted:
    """A sale as an order wants it."""

    delivery: Delivery
    reference: str
    currency: int
    lines: tuple[dict[str, Any], ...]  # values for sale.line
    customer: Customer

    @property
    def has_address(self) -> bool:
        return any(self.customer.place[1:])


@cache
def records_of(rpc: Rpc, warehouse: str) -> Records:
    return Records(rpc, warehouse)


class Tryton(Connector):
    """One database of a Tryton server, spoken to as one user who may sell, ship and read stock."""

    base_url: str
    database: str
    user: str
    password: str
    warehouse: str = "WH"  # whose stock is the location MAIN

    @property
    def rpc(self) -> Rpc:
        return rpc_for(self.base_url, self.database, self.user, self.password)

    @property
    def records(self) -> Records:
        return records_of(self.rpc, self.warehouse)

    def has_changed(self, stream: str, cursor: str | None) -> bool:
        return is_changed(self.records, stream_named(stream, STREAMS), cursor)

    def changed_since(self, stream: str, cursor: str | None) -> Iterator[Page]:
        return changes_since(self.records, stream_named(stream, STREAMS), cursor)

    def snapshot(self, stream: str) -> Iterator[Page]:
        return everything(self.records, stream_named(stream, STREAMS))

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Apply orders in batches. Raises Unreachable only when none was applied."""
        outcomes: list[Outcome] = []
        for action, run in groupby(deliveries, lambda delivery: (delivery.entity, delivery.action)):
            same = list(run)
            ways = {("orders", "upsert"): self._upsert, ("orders", "cancel"): self._cancel}
            ways |= {("refunds", "upsert"): self._credit, ("customers", "upsert"): self._carry_numbers}
            send = ways.get(action)
            if send is None:
                reason = f"Tryton takes no {action[1]} of {action[0]} from us"
                outcomes += [Outcome(one.delivery_id, Result.REFUSED, reason=reason) for one in same]
                continue
            for start in range(0, len(same), BATCH):
                part = same[start : start + BATCH]
                try:
                    outcomes += one_by_one_where_needed(part, send)
                except Unreachable as error:
                    if not outcomes:
                        raise
                    outcomes += [
                        Outcome(one.delivery_id, Result.RETRY, reason=str(error), retry_after=error.retry_after)
                        for one in part
                    ]
        return outcomes

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        """Whether each order or refund stands in Tryton as it was sent: one search for the whole batch."""
        if deliveries and deliveries[0].entity == "refunds":  # a batch is of one flow
            return credits.find(self.records, deliveries)
        if deliveries and deliveries[0].entity == "customers":  # writing a number once more changes nothing
            return [Outcome(one.delivery_id, Result.RETRY, reason="it is written again") for one in deliveries]
        sales = self._sales([order_number(one) for one in deliveries])
        outcomes = []
        products = self.records.products({sku for one in deliveries for sku in _skus(one)})
        for delivery in deliveries:
            standing = [sale for sale in sales.get(order_number(delivery), []) if sale["state"] != "cancelled"]
            if delivery.action == "cancel":
                is_there = not standing
            else:
                is_there = bool(standing) and standing[0]["state"] in ON_ITS_WAY
                try:
                    is_there = is_there and not _differs(standing[0], self._wanted(delivery, products))
                except Unsuitable:
                    is_there = False  # sending it again brings the sentence
            result = Result.APPLIED if is_there else Result.RETRY
            found = str(standing[0]["id"]) if is_there and standing else None
            outcomes.append(
                Outcome(delivery.delivery_id, result, found, None if is_there else "Tryton does not hold it")
            )
        return outcomes

    def _carry_numbers(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Write on each party under which numbers others know it. No party is made for that."""
        try:
            return carry_numbers(self.rpc, deliveries)
        except Refused as error:
            raise BatchRefused(str(error)) from error
        except NoAnswer as error:
            return [Outcome(one.delivery_id, Result.RETRY, reason=str(error)) for one in deliveries]

    def _sales(self, references: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        domain = [("reference", "in", sorted(set(references)))]
        return by_reference(self.rpc.call("sale.sale.search_read", domain, 0, None, None, SALE_FIELDS))

    def _wanted(self, delivery: Delivery, products: Mapping[str, Any]) -> Wanted:
        """What the order asks for, in Tryton's ids. Raises Unsuitable with all that is wrong with its lines."""
        order = delivery.payload
        currency = self.records.currency(order.get("currency"))
        lines = lines_of({"order_number": delivery.key, **order}, currency.digits)
        if unknown := sorted({line.sku for line in lines} - products.keys()):
            raise Unsuitable(f"Tryton sells no product {', '.join(unknown)}; create it there, or correct the SKU")
        customer = customer_of({"order_number": delivery.key, **order})
        self.records.country(customer.country)
        day_of(order, "placed_at", self.records.zone)
        values = tuple(self._line(line, products) for line in lines)
        return Wanted(delivery, order_number(delivery), currency.currency, values, customer)

    def _line(self, line: Line, products: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "product": products[line.sku].product,
            "unit": products[line.sku].unit,
            "quantity": float(line.quantity),  # Tryton keeps quantities as floats
            "unit_price": line.unit_price,
            "taxes": [("add", self.records.tax(line.rate))] if line.rate else [],
            "note": line.note,
        }

    def _upsert(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Bring a batch into Tryton. What is there already is left alone, so it may be called again at any time."""
        try:
            return self._bring(deliveries)
        except Refused as error:
            raise BatchRefused(str(error)) from error
        except NoAnswer as error:
            return [Outcome(one.delivery_id, Result.UNKNOWN, reason=str(error)) for one in deliveries]

    def _credit(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Credit a batch of refunds, each once."""
        try:
            return credits.credit(self.records, deliveries)
        except Refused as error:
            raise BatchRefused(str(error)) from error
        except NoAnswer as error:
            return [Outcome(one.delivery_id, Result.UNKNOWN, reason=str(error)) for one in deliveries]

    def _bring(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        refused: dict[int, str] = {}
        products = self.records.products({sku for one in deliveries for sku in _skus(one)})
        wanted: list[Wanted] = []
        for delivery in deliveries:
            try:
                wanted.append(self._wanted(delivery, products))
            except Unsuitable as error:
                refused[delivery.delivery_id] = f"order {order_number(delivery)}: {error}"
        there = self._sales([one.reference for one in wanted])
        new = [one for one in wanted if one.reference not in there]
        unlike = [one for one in wanted if one.reference in there and _differs(there[one.reference][0], one)]
        added: dict[str, list[dict[str, Any]]] = {}
        for one in unlike:
            sale = there[one.reference][0]
            if hindrance := _hindrance(sale, (*LEFT, *IN_HAND)):
                added[one.reference] = _added(sale, one)
                if not added[one.reference]:
                    refused[one.delivery.delivery_id] = f"order {one.reference} has changed, but {hindrance}"
        unlike = [one for one in unlike if one.delivery.delivery_id not in refused and one.reference not in added]
        try:
            places = self._customers(new, [(there[one.reference][0]["party"], one) for one in unlike])
        except NoAnswer as error:  # customers are made once by their code, so trying again is safe
            return [Outcome(one.delivery_id, Result.RETRY, reason=str(error)) for one in deliveries]
        sale_ids = {reference: some[0]["id"] for reference, some in there.items()}
        made: list[int] = []
        if new:
            made = self.rpc.call("sale.sale.create", [self._sale(one, *places[one.reference]) for one in new])
            sale_ids |= zip((one.reference for one in new), made, strict=True)
        for one in unlike:
            self._bring_in_line(there[one.reference][0], one, places[one.reference][1])
        for reference, lines in added.items():
            if lines:
                self._add(there[reference][0], lines)
        sale_ids |= self._confirm([one.reference for one in wanted if one.delivery.delivery_id not in refused], made)
        return [
            Outcome(one.delivery_id, Result.REFUSED, reason=refused[one.delivery_id])
            if one.delivery_id in refused
            else Outcome(one.delivery_id, Result.APPLIED, str(sale_ids[order_number(one)]))
            for one in deliveries
        ]

    def _customers(self, new: Sequence[Wanted], kept: Sequence[tuple[int, Wanted]]) -> dict[str, tuple[int, int]]:
        """Party and address for each order; a sale that stands keeps its party."""
        parties = self.records.parties([one.customer for one in new]) if new else {}
        pairs = [(parties[one.customer.code], one) for one in new] + list(kept)
        if not pairs:
            return {}
        addresses = self.records.addresses([(party, one.customer) for party, one in pairs])
        return {one.reference: (party, addresses[party, one.customer.place]) for party, one in pairs}

    def _sale(self, one: Wanted, party: int, address: int) -> dict[str, Any]:
        order = one.delivery.payload
        number = order.get("number")
        return {
            **self.rpc.context,
            "reference": one.reference,
            "description": f"Order {number}" if number else None,
            "comment": comment_of(order),
            "party": party,
            "invoice_address": address,
            "shipment_address": address,
            "warehouse": self.records.warehouse,
            "currency": one.currency,
            "sale_date": day_of(order, "placed_at", self.records.zone),
            "lines": [("create", list(one.lines))],
        }

    def _bring_in_line(self, sale: Mapping[str, Any], one: Wanted, address: int) -> None:
        """Open a sale again and give it the lines and address that its order has now."""
        self._reopen([sale], forget=True)
        if sale["lines."]:
            self.rpc.call(
                "sale.sale.write", [sale["id"]], {"lines": [("delete", [line["id"] for line in sale["lines."]])]}
            )
        values: dict[str, Any] = {"currency": one.currency, "lines": [("create", list(one.lines))]}
        comment = comment_of(one.delivery.payload)
        if comment and comment not in (sale["comment"] or ""):
            values["comment"] = comment
        if one.has_address:
            values |= {"invoice_address": address, "shipment_address": address}
        self.rpc.call("sale.sale.write", [sale["id"]], values)

    def _add(self, sale: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> None:
        """Add lines to a sale that has left, as an exchange does; what has left stays, and a shipment follows for the rest."""
        self.rpc.call("sale.sale.write", [sale["id"]], {"state": "draft"})
        self.rpc.call("sale.sale.write", [sale["id"]], {"lines": [("create", list(lines))]})

    def _reopen(self, sales: Sequence[Mapping[str, Any]], *, forget: bool) -> None:
        """Make drafts of sales from which nothing has left.

        Tryton has no way back from `processing`. So the state is set first, for then Tryton does not make the cancelled
        shipment anew, and its open shipments and draft invoices are cancelled; `forget` also deletes them, or Tryton
        would count what they held as shipped.
        """
        for state in ("quotation", "confirmed", "cancelled"):
            if ids := [sale["id"] for sale in sales if sale["state"] == state]:
                self.rpc.call("sale.sale.draft", ids)
        if running := [sale["id"] for sale in sales if sale["state"] in ("processing", "done")]:
            fresh = {"state": "draft", "shipment_state": "none", "invoice_state": "none"}
            self.rpc.call("sale.sale.write", running, fresh)
        for model, field in (("stock.shipment.out", "shipments."), ("account.invoice", "invoices.")):
            records = [record for sale in sales for record in sale[field]]
            if ids := [record["id"] for record in records if record["state"] != "cancelled"]:
                self.rpc.call(f"{model}.cancel", ids)
            if forget and records:
                self.rpc.call(f"{model}.delete", [record["id"] for record in records])

    def _confirm(self, references: Sequence[str], made: Sequence[int]) -> dict[str, int]:
        """Quote and confirm what is not yet; the sale that stands for each order.

        Where another courier made a sale for the same order at the same moment, the older one stands, and a younger one
        that we made just now is taken back.
        """
        if not references:
            return {}
        fields = ["reference", "state"]
        domain = [("reference", "in", list(references)), ("state", "!=", "cancelled")]
        found = by_reference(self.rpc.call("sale.sale.search_read", domain, 0, None, None, fields))
        if twins := [sale["id"] for some in found.values() for sale in some[1:] if sale["id"] in made]:
            self.rpc.call("sale.sale.delete", twins)
        standing = [some[0] for some in found.values()]
        if drafts := [sale["id"] for sale in standing if sale["state"] == "draft"]:
            self.rpc.call("sale.sale.quote", drafts)
        if unconfirmed := [sale["id"] for sale in standing if sale["state"] in OPEN]:
            self.rpc.call("sale.sale.confirm", unconfirmed)
        return {sale["reference"]: sale["id"] for sale in standing}

    def _cancel(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Cancel the sales of these orders. Where there is none, there is nothing to cancel."""
        try:
            sales = self._sales([order_number(one) for one in deliveries])
            refused: dict[str, str] = {}
            standing = []
            for reference, some in sales.items():
                hindrances = [hindrance for sale in some if (hindrance := _hindrance(sale, LEFT))]
                if hindrances:
                    refused[reference] = f"order {reference} cannot be cancelled: {hindrances[0]}"
                else:
                    standing += [sale for sale in some if sale["state"] != "cancelled"]
            if standing:
                self._reopen(standing, forget=False)
                self.rpc.call("sale.sale.cancel", [sale["id"] for sale in standing])
        except Refused as error:
            raise BatchRefused(str(error)) from error
        except NoAnswer as error:
            return [Outcome(one.delivery_id, Result.UNKNOWN, reason=str(error)) for one in deliveries]
        outcomes = []
        for one in deliveries:
            reference = order_number(one)
            found = str(sales[reference][0]["id"]) if reference in sales else None
            result = Result.REFUSED if reference in refused else Result.APPLIED
            outcomes.append(Outcome(one.delivery_id, result, found, refused.get(reference)))
        return outcomes


def order_number(delivery: Delivery) -> str:
    """The order's universal id, which the sale carries as its reference."""
    return str(delivery.payload.get("order_number") or delivery.key)


def _skus(delivery: Delivery) -> set[str]:
    told = {str(line.get("sku") or "").strip() for line in delivery.payload.get("lines") or ()}
    return (told - {""}) | {"SHIPPING", "DISCOUNT", "ROUNDING"}


def _differs(sale: Mapping[str, Any], one: Wanted) -> bool:
    """Whether the sale is not what its order wants now."""
    if sale["state"] == "cancelled" or sale["currency"] != one.currency:
        return True
    if (comment_of(one.delivery.payload) or "") not in (sale["comment"] or ""):  # people may have added to it
        return True
    if _lines_of(sale) != Counter(_as_held(line) for line in one.lines):
        return True
    address = sale["shipment_address."]
    return one.has_address and (address is None or place_of(address) != one.customer.place)


def _lines_of(sale: Mapping[str, Any]) -> Counter[Any]:
    return Counter(
        (line["product"], Decimal(line["quantity"]), line["unit_price"], tuple(line["taxes"]), line["note"] or "")
        for line in sale["lines."]
    )


def _as_held(line: Mapping[str, Any]) -> tuple[Any, ...]:
    """A line that is wanted, as Tryton would hold it."""
    taxes = tuple(number for _, numbers in line["taxes"] for number in numbers)
    return line["product"], Decimal(str(line["quantity"])), line["unit_price"], taxes, line["note"] or ""


def _added(sale: Mapping[str, Any], one: Wanted) -> list[dict[str, Any]]:
    """The lines by which the order has grown; none where it has changed in any other way, or is invoiced."""
    if any(invoice["state"] in ("posted", "paid") for invoice in sale["invoices."]):
        return []
    held, more = _lines_of(sale), []
    for line in one.lines:
        if held[_as_held(line)]:
            held[_as_held(line)] -= 1
        else:
            more.append(line)
    return more if not held.total() and sale["currency"] == one.currency else []


def _hindrance(sale: Mapping[str, Any], too_late: tuple[str, ...]) -> str | None:
    """Why this sale can no longer be taken back, as the rest of a sentence."""
    words = {
        "picked": "is being picked",
        "packed": "is packed",
        "shipped": "has been shipped",
        "done": "has been shipped",
    }
    for shipment in sale["shipments."]:
        if shipment["state"] in too_late:
            what = words[shipment["state"]]
            return f"its shipment {shipment['number']} {what} already; arrange a return with the customer"
    for invoice in sale["invoices."]:
        if invoice["state"] in ("posted", "paid"):
            return f"its invoice {invoice['number']} is posted already; credit it in Tryton"
    if sale["state"] == "done" and not sale["shipments."]:
        return "its sale is done in Tryton; correct it there"
    return None

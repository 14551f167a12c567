"""A clerk of the own warehouse, at the ERP's screens: sees which sales wait, and takes their shipments to the door."""

from datetime import datetime, timedelta
from typing import Any

from resources.connectors.tryton.orders import SHIPS_FROM
from resources.connectors.tryton.rpc import Rpc

OVERLAP = timedelta(minutes=2)  # a transaction that began earlier may commit later than what was seen
NEXT_STEP = {
    "draft": "wait",
    "waiting": "assign_try",
    "assigned": "pick",
    "picked": "pack",
    "packed": "do",
    "shipped": "do",
}
PAGE = 200  # sales asked for at once


class Clerk:
    """Works in the name of the user who is logged in."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    def sales_since(self, since: str | None) -> tuple[dict[str, int], str | None]:
        """The sales in process that changed since then (None: ever), id by reference, and the time to ask from next."""
        domain: list[Any] = [("state", "=", "processing"), ("reference", "!=", None)]
        if since:
            domain.append(("write_date", ">=", datetime.fromisoformat(since) - OVERLAP))
        order, fields = [("write_date", "ASC"), ("id", "ASC")], ["reference", "write_date"]
        found: list[dict[str, Any]] = []
        while page := self.rpc.call("sale.sale.search_read", domain, len(found), PAGE, order, fields):
            found += page
        return {sale["reference"]: sale["id"] for sale in found}, found[-1][
            "write_date"
        ].isoformat() if found else since

    def goods(self, sales: list[int]) -> dict[str, dict[str, int]]:
        """What is to be shipped from the own warehouse: reference, SKU, pieces. What others ship says so in its note."""
        fields = ["reference", "lines.product.code", "lines.product.type", "lines.quantity", "lines.note"]
        goods: dict[str, dict[str, int]] = {}
        for start in range(0, len(sales), PAGE):
            for sale in self.rpc.call("sale.sale.read", sales[start : start + PAGE], fields):
                pieces = goods.setdefault(sale["reference"], {})
                for line in sale["lines."]:
                    product = line.get("product.") or {}
                    place = (line["note"] or "").partition("\n")[0].removeprefix(SHIPS_FROM)
                    is_ours = place in ("", "MAIN") or not (line["note"] or "").startswith(SHIPS_FROM)
                    if product.get("type") == "goods" and line["quantity"] > 0 and is_ours:
                        pieces[product["code"]] = pieces.get(product["code"], 0) + int(line["quantity"])
        return goods

    def waits(self, reference: str) -> list[int] | None:
        """The shipments of an order that is still in process, or None."""
        domain = [("reference", "=", reference), ("state", "=", "processing")]
        found = self.rpc.call("sale.sale.search_read", domain, 0, 1, None, ["shipments"])
        return list(found[0]["shipments"]) if found else None

    def ship(self, shipments: list[int], tracking: str, *, is_partial: bool) -> str:
        """Take the next open one of these shipments to the door: `shipped`, `short` of stock, or `nothing` left to ship.

        A partial one leaves half of one line behind, for which the ERP opens another shipment. Raises Refused, NoAnswer
        or Unreachable; whoever comes next goes on where it stands.
        """
        model = "stock.shipment.out"
        domain = [("id", "in", shipments), ("state", "in", list(NEXT_STEP))]
        fields = ["state", "reference", "inventory_moves"]
        found = self.rpc.call(f"{model}.search_read", domain, 0, 1, [("id", "ASC")], fields)
        if not found:
            return "nothing"
        shipment = found[0]
        if not shipment["reference"]:  # the first touch; a clerk who was interrupted finds it, and only goes on
            if is_partial:
                self._pick_short(shipment["inventory_moves"])
            self.rpc.call(f"{model}.write", [shipment["id"]], {"reference": tracking})
        while shipment["state"] in NEXT_STEP:
            before = shipment["state"]
            self.rpc.call(f"{model}.{NEXT_STEP[before]}", [shipment["id"]])
            shipment = self.rpc.call(f"{model}.read", [shipment["id"]], ["state"])[0]
            if shipment["state"] == before:
                return "short"
        return "shipped"

    def _pick_short(self, moves: list[int]) -> None:
        for move in self.rpc.call("stock.move.read", moves, ["quantity"]):
            if move["quantity"] >= 2:
                self.rpc.call("stock.move.write", [move["id"]], {"quantity": float(move["quantity"] // 2)})
                return

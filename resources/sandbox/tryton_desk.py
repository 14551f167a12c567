"""What people at the ERP's desk do: add products, ship an order in full or in part, correct a sale by hand."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from resources.tryton_rpc import Rpc

AT_ONCE = 50  # products in one call; Tryton on SQLite builds one condition of all their codes, which 100 make too deep


def add_products(rpc: Rpc, products: Iterable[tuple[str, str, str]]) -> list[int]:
    """Make a product of each (SKU, name, price) like those that are sold already; the ids of the products."""
    like = rpc.call(
        "product.template.search_read", [("type", "=", "goods")], 0, 1, None, ["default_uom", "account_category"]
    )
    made: list[int] = []
    remaining = iter(products)
    while some := list(islice(remaining, AT_ONCE)):
        values = [
            {
                "name": name,
                "code": sku,
                "type": "goods",
                "list_price": Decimal(price),
                "salable": True,
                "default_uom": like[0]["default_uom"],
                "sale_uom": like[0]["default_uom"],
                "account_category": like[0]["account_category"],
                "products": [("create", [{}])],
            }
            for sku, name, price in some
        ]
        made += rpc.call("product.template.create", values)
    return made


def ship(rpc: Rpc, order_number: str, *, tracking: str, quantities: Mapping[str, int] | None = None) -> str:
    """Pick, pack and ship the open shipment of an order; its number. With `quantities` only so much of each SKU.

    What is short stays with Tryton, which makes a shipment of its own for it.
    """
    domain = [("reference", "=", order_number), ("state", "=", "processing")]
    fields = ["shipments.state", "shipments.number"]
    sale = rpc.call("sale.sale.search_read", domain, 0, 1, None, fields)[0]
    waiting = next(one for one in sale["shipments."] if one["state"] in ("waiting", "assigned"))
    ids = [waiting["id"]]
    rpc.call("stock.shipment.out.write", ids, {"reference": tracking})
    if quantities is not None:
        if waiting["state"] == "assigned":
            rpc.call("stock.shipment.out.wait", ids)
        fields = ["inventory_moves.product.code", "inventory_moves.quantity"]
        for move in rpc.call("stock.shipment.out.read", ids, fields)[0]["inventory_moves."]:
            rpc.call("stock.move.write", [move["id"]], {"quantity": quantities.get(move["product."]["code"], 0)})
    for step in ("assign_force", "pick", "pack", "do"):
        rpc.call(f"stock.shipment.out.{step}", ids)
    return str(waiting["number"])


def sale_of(rpc: Rpc, order_number: str, *fields: str) -> dict[str, Any]:
    """What Tryton holds of an order; the sale that stands, if there are several."""
    domain = [("reference", "=", order_number)]
    rows = rpc.call("sale.sale.search_read", domain, 0, None, None, ["state", *fields])
    return dict(min(rows, key=lambda row: (row["state"] == "cancelled", row["id"])))

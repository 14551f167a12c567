"""What people at the ERP's desk do: add products, ship an order in full or in part, correct a sale by hand."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from resources.connectors.tryton.rpc import Rpc

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


def take_in(
    rpc: Rpc, reference: str, goods: Mapping[str, int], *, warehouse: str = "WH", damaged: Collection[str] = ()
) -> str:
    """Book a parcel that came back, put its goods away, and the damaged ones aside; its number.

    The reference names the order and, after a space, the return.
    """
    order_number = reference.split(" ")[0]
    domain = [("reference", "=", order_number), ("state", "!=", "cancelled")]
    sale = rpc.call("sale.sale.search_read", domain, 0, 1, None, ["party", "shipment_address", "shipments"])[0]
    places = ["input_location", "storage_location", "lost_found_location"]
    domain = [("type", "=", "warehouse"), ("code", "=", warehouse)]
    house = rpc.call("stock.location.search_read", domain, 0, 1, None, places)[0]
    of_the_order: list[Any] = [
        ("shipment", "in", [f"stock.shipment.out,{number}" for number in sale["shipments"]]),
        ("state", "=", "done"),
        ("to_location.type", "=", "customer"),
        ("product.code", "in", list(goods)),
    ]
    fields = ["product", "product.code", "unit", "unit_price", "currency", "to_location"]
    left = rpc.call("stock.move.search_read", of_the_order, 0, None, None, fields)
    moves = [
        {
            **{name: move[name] for name in ("product", "unit", "unit_price", "currency")},
            "quantity": float(goods[move["product."]["code"]]), "from_location": move["to_location"],
            "to_location": house["input_location"], "company": rpc.context["company"], "origin": f"stock.move,{move['id']}",
        }
        for move in left
    ]  # fmt: skip
    values = {"customer": sale["party"], "contact_address": sale["shipment_address"], "warehouse": house["id"],
              "warehouse_input": house["input_location"], "warehouse_storage": house["storage_location"],
              "reference": reference, "incoming_moves": [("create", moves)]}  # fmt: skip
    ids = rpc.call("stock.shipment.out.return.create", [rpc.context | values])
    rpc.call("stock.shipment.out.return.receive", ids)
    fields = ["number", "inventory_moves.product.code"]
    row = rpc.call("stock.shipment.out.return.read", ids, fields)[0]
    if aside := [move["id"] for move in row["inventory_moves."] if move["product."]["code"] in damaged]:
        rpc.call("stock.move.write", aside, {"to_location": house["lost_found_location"]})
    rpc.call("stock.shipment.out.return.do", ids)
    return str(row["number"])


def sale_of(rpc: Rpc, order_number: str, *fields: str) -> dict[str, Any]:
    """What Tryton holds of an order; the sale that stands, if there are several."""
    domain = [("reference", "=", order_number)]
    rows = rpc.call("sale.sale.search_read", domain, 0, None, None, ["state", *fields])
    return dict(min(rows, key=lambda row: (row["state"] == "cancelled", row["id"])))

"""What Tryton tells of returns: posted credit notes of refunds, and parcels that came back to the own warehouse."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from resources.connectors.tryton.credits import POSTED, REFUND
from resources.connectors.tryton.records import Records
from resources.connectors.tryton.rpc import number_text, utc_stamp

Told = Iterator[tuple[str, dict[str, Any]]]  # a record's id and what is told of it


def orders_alone(records: Records) -> list[Any]:
    """Sales that are no credit of a refund."""
    return ["OR", ("reference", "=", None), ("reference", "not like", f"{REFUND}%")]


def posted(records: Records) -> list[Any]:
    return [("type", "=", "out"), ("state", "in", list(POSTED)), ("reference", "like", f"{REFUND}%")]


def credit_notes(records: Records, ids: Sequence[int]) -> Told:
    fields = ["number", "reference", "currency.code", "total_amount", "write_date", "create_date"]
    for row in sorted(records.rpc.call("account.invoice.read", list(ids), fields), key=lambda row: row["id"]):
        yield (
            str(row["id"]),
            {
                "id": str(row["id"]),
                "number": row["number"],
                "refund_number": row["reference"].removeprefix(REFUND),
                "currency": row["currency."]["code"],
                "total_amount": number_text(-row["total_amount"]),
                "write_date": utc_stamp(row["write_date"] or row["create_date"]),
            },
        )


def taken_in(records: Records) -> list[Any]:
    return [("state", "=", "done"), ("warehouse", "=", records.warehouse)]


def received(records: Records, ids: Sequence[int]) -> Told:
    """Parcels as they were put away. Their reference names the order and, where it is known, the return."""
    moves = [f"{way}.{name}" for way in ("incoming_moves", "inventory_moves") for name in ("product.code", "quantity")]
    fields = ["number", "reference", "write_date", "create_date", *moves, "inventory_moves.to_location"]
    rows = records.rpc.call("stock.shipment.out.return.read", list(ids), fields)
    done_at = _done_at(records, ids)
    for row in sorted(rows, key=lambda row: row["id"]):
        order_number, _, return_number = (row["reference"] or "").partition(" ")
        came, shelved = defaultdict[str, int](int), defaultdict[str, int](int)
        for move in row["incoming_moves."]:
            came[move["product."]["code"]] += move["quantity"]
        for move in row["inventory_moves."]:
            if move["to_location"] in records.shelves:
                shelved[move["product."]["code"]] += move["quantity"]
        yield (
            str(row["id"]),
            {
                "id": str(row["id"]),
                "number": row["number"],
                "order_number": order_number or None,
                "return_number": return_number or None,
                "taken_in_at": done_at.get(row["id"]) or utc_stamp(row["write_date"] or row["create_date"]),
                "write_date": utc_stamp(row["write_date"] or row["create_date"]),
                "lines": [
                    {"sku": sku, "quantity": number_text(some), "restocked": number_text(shelved[sku])}
                    for sku, some in sorted(came.items())
                ],
            },
        )


def _done_at(records: Records, ids: Sequence[int]) -> dict[int, str]:
    """When each was put away, by Tryton's journal."""
    resources = [f"stock.shipment.out.return,{number}" for number in ids]
    domain = [("resource", "in", resources), ("target", "=", "state:done")]
    rows = records.rpc.call("ir.model.log.search_read", domain, 0, None, [("id", "DESC")], ["resource", "create_date"])
    return {int(row["resource"].split(",")[1]): utc_stamp(row["create_date"]) for row in rows}

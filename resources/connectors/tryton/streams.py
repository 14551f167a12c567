"""What Tryton says: sales, products, stock and shipments, as a poll that loses nothing and as a whole.

Tryton writes no change log, so a poll asks for what was written since the cursor. A row is stamped when its transaction
begins and seen when it commits, so the poll looks back by OVERLAP and leaves out what it has told already, by id and stamp.
Pages go up by id within a window that is fixed when the poll begins: what is inserted meanwhile stands on a later page,
what is changed behind it has a stamp that the next poll asks for.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from resources.connectors.connector import Message, Page
from resources.connectors.tryton.addresses import as_told, chosen, fields_told
from resources.connectors.tryton.parties import SHOP_NUMBER, numbers_on
from resources.connectors.tryton.prices import PRICE_LINE, price_line
from resources.connectors.tryton.records import Records
from resources.connectors.tryton.returns import Told, credit_notes, orders_alone, posted, received, taken_in
from resources.connectors.tryton.rpc import Rpc, number_text, utc_stamp
from resources.host.text import dump_payload

OVERLAP = timedelta(seconds=120)  # longer than any transaction of Tryton's may take; 100 sales at once took 25 s
PAGE = 200
Row = dict[str, Any]
STAMPS = ("write_date", "create_date")


class Asked(Protocol):
    """What is asked for the rows of a stream: a database and what is known of it."""

    @property
    def rpc(self) -> Rpc: ...


@dataclass(frozen=True, slots=True)
class Stream:
    """Which rows a stream watches, and how they are told. `parts` are rows whose change does not stamp their parent."""

    model: str
    domain: Callable[[Any], list[Any]]
    parts: tuple[str, ...]
    tell: Callable[[Any, Sequence[int], str], list[Message]]


@dataclass(slots=True)
class Cursor:
    """Where a poll stands. `until` and `after` are set while it is under way, so that it can go on after a kill."""

    since: str | None = None
    seen: dict[str, str] | None = None  # id: stamp, of what was told and is young enough to be asked for again
    until: str | None = None
    after: int = 0
    young: dict[str, str] | None = None  # what `seen` will be when the poll ends

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        return cls(**json.loads(text)) if text else cls()

    def __str__(self) -> str:
        said = {name: getattr(self, name) for name in ("since", "seen", "until", "after", "young")}
        return json.dumps({name: value for name, value in said.items() if value}, separators=(",", ":"))


def is_changed(records: Asked, kind: Stream, cursor: str | None) -> bool:
    """Whether any row was written since the cursor that was not told yet; reads ids and stamps alone."""
    position = Cursor.read(cursor)
    if position.until:  # the last poll did not end
        return True
    return any(_untold(rows, position) for rows in _pages(records, kind, position.since, 0))


def changes_since(records: Asked, kind: Stream, cursor: str | None) -> Iterator[Page]:
    """Pages of what was written since the cursor."""
    position = Cursor.read(cursor)
    if not position.until:
        newest = _newest(records, kind)
        if newest is None:
            return
        position.until, position.after, position.young = newest, 0, {}
    horizon = _before(position.until)
    if kind is STREAMS["stock"] and position.since is None:  # every move ever made says less than the shelf does now
        known = [row for rows in _pages(records, kind, horizon, 0) for row in rows]  # before the shelf is read
        for page in everything(records, kind):
            yield Page(page.messages, cursor)
        seen = {str(row["id"]): stamp_of(row) for row in known}
        yield Page([], str(Cursor(since=horizon, seen=seen)), is_last=True)
        return
    for rows in _pages(records, kind, position.since, position.after):
        untold = _untold(rows, position)
        as_of = max([position.until, *untold.values()])
        messages = kind.tell(records, [int(number) for number in untold], as_of) if untold else []
        position.after = rows[-1]["id"]
        young = {str(row["id"]): stamp for row in rows if (stamp := stamp_of(row)) >= horizon}
        position.young = (position.young or {}) | young
        if messages:
            yield Page(messages, str(position))
    yield Page([], str(Cursor(since=horizon, seen=position.young)), is_last=True)


def everything(records: Asked, kind: Stream) -> Iterator[Page]:
    """All that Tryton holds of a stream now, page by page in the order of ids; complete when the last page says so."""
    as_of = _newest(records, kind) or utc_stamp(datetime.now(UTC))
    model, domain, tell = kind.model, kind.domain(records), kind.tell
    if kind is STREAMS["stock"]:
        model, domain, tell = "product.product", GOODS, _quantities
    after, is_last = 0, False
    while not is_last:
        found = records.rpc.call(
            f"{model}.search", [domain, ("id", ">", after)], 0, PAGE, [("id", "ASC")], active_test=False
        )
        is_last = not found  # a server may cut pages shorter than they were asked for: a short one is no last one
        yield Page(tell(records, found, as_of) if found else [], is_last=is_last)
        after = found[-1] if found else after


def stream_named(name: str, streams: Mapping[str, Stream]) -> Stream:
    """The stream of that name. Raises NotImplementedError with those that there are."""
    if name not in streams:
        raise NotImplementedError(f"Tryton has no stream {name!r}; it has {', '.join(streams)}")
    return streams[name]


def _pages(records: Asked, kind: Stream, since: str | None, after: int) -> Iterator[list[Row]]:
    """Ids and stamps of what was written since then, in the order of ids."""
    stamps = ["write_date", "create_date"]
    fields = stamps + [f"{part}.{stamp}" for part in kind.parts for stamp in stamps]
    written: list[Any] = []
    if since:
        moment = datetime.fromisoformat(since).replace(tzinfo=None)
        written = ["OR", *((field, ">=", moment) for field in fields)]
    while True:
        domain = [kind.domain(records), ("id", ">", after), written]
        rows = records.rpc.call(
            f"{kind.model}.search_read", domain, 0, PAGE, [("id", "ASC")], fields, active_test=False
        )
        if not rows:  # a short page is no last one: see above
            return
        yield rows
        after = rows[-1]["id"]


def _untold(rows: Sequence[Row], position: Cursor) -> dict[str, str]:
    """Ids and stamps of the rows that were not told with that stamp."""
    seen = position.seen or {}
    return {str(row["id"]): stamp for row in rows if seen.get(str(row["id"])) != (stamp := stamp_of(row))}


def _newest(records: Asked, kind: Stream) -> str | None:
    """The newest stamp of the stream's rows (their parts apart: these are asked for again by the next poll)."""
    stamps = []
    for field in ("write_date", "create_date"):
        domain = [kind.domain(records), (field, "!=", None)]
        order, fields = [(field, "DESC")], ["write_date", "create_date"]
        found = records.rpc.call(f"{kind.model}.search_read", domain, 0, 1, order, fields, active_test=False)
        stamps += [stamp_of(row) for row in found]
    return max(stamps, default=None)


def stamp_of(row: Mapping[str, Any]) -> str:
    """When a row or one of its parts was last written, UTC."""
    moments = [row.get("write_date") or row["create_date"]]
    for name, part in row.items():
        if name.endswith(".") and part:
            for each in part if isinstance(part, list) else [part]:
                moments.append(each.get("write_date") or each.get("create_date") or datetime.min)
    return utc_stamp(max(moments))


def _before(stamp: str) -> str:
    return utc_stamp(datetime.fromisoformat(stamp) - OVERLAP)


def message(stream: str, remote_id: str, payload: Mapping[str, Any]) -> Message:
    text = dump_payload(payload)
    return Message(stream=stream, payload=text, body=text.encode(), remote_id=remote_id)


def _sales(records: Records, ids: Sequence[int], as_of: str) -> list[Message]:
    fields = ["number", "reference", "state", "shipment_state", "invoice_state", "currency.code", "total_amount"]
    fields += ["untaxed_amount", "tax_amount", "sale_date", "write_date", "create_date", "party", "party.name"]
    lines = ["product.code", "quantity", "unit_price", "type", "write_date", "create_date"]
    rows = records.rpc.call("sale.sale.read", list(ids), fields + [f"lines.{field}" for field in lines])
    parties = sorted({row["party"] for row in rows})
    domain = [("party", "in", parties), ("type", "=", "email")]
    emails = records.rpc.call(
        "party.contact_mechanism.search_read", domain, 0, None, [("id", "DESC")], ["party", "value"]
    )
    email_of = {row["party"]: row["value"] for row in emails}
    return [
        message(
            "sales",
            str(row["id"]),
            {
                "id": str(row["id"]),
                **{name: row[name] for name in ("number", "reference", "state", "shipment_state", "invoice_state")},
                "currency": row["currency."]["code"],
                **{name: number_text(row[name]) for name in ("total_amount", "untaxed_amount", "tax_amount")},
                "sale_date": row["sale_date"].isoformat() if row["sale_date"] else None,
                "write_date": stamp_of(row),
                "party": row["party."]["name"],
                "email": email_of.get(row["party"]),
                "lines": [
                    {
                        "id": str(line["id"]),
                        "sku": (line["product."] or {}).get("code"),
                        "quantity": number_text(line["quantity"]),
                        "unit_price": number_text(line["unit_price"]),
                    }
                    for line in sorted(row["lines."], key=lambda line: line["id"])
                    if line["type"] == "line"
                ],
            },
        )
        for row in in_order(rows)
    ]


def _products(records: Records, ids: Sequence[int], as_of: str) -> list[Message]:
    fields = ["code", "name", "list_price_used", "salable", "active", "write_date", "create_date"]
    fields += [f"template.{name}" for name in ("type", "active", "write_date", "create_date")]
    rows = records.rpc.call("product.product.read", list(ids), fields)
    return [
        message(
            "products",
            str(row["id"]),
            {
                "id": str(row["id"]),
                **{name: row[name] for name in ("code", "name")},
                "list_price": number_text(row["list_price_used"]),
                "type": row["template."]["type"],
                "salable": bool(row["salable"]),  # on SQLite Tryton answers 1
                "active": bool(row["active"] and row["template."]["active"]),
                "write_date": stamp_of(row),
            },
        )
        for row in in_order(rows)
    ]


def _moved(records: Records, ids: Sequence[int], as_of: str) -> list[Message]:
    """What is in the house of the products that these moves brought or took."""
    rows = records.rpc.call("stock.move.read", list(ids), ["product"])
    return _quantities(records, sorted({row["product"] for row in rows}), as_of)


def _quantities(records: Records, ids: Sequence[int], as_of: str) -> list[Message]:
    """What is in the house, as of the last move that was known before it was read.

    Picked goods count until they leave, for until then their order is open; so a parcel is either in the count or after it.
    """
    rows = records.rpc.call("product.product.read", list(ids), ["code", "quantity"], locations=records.shelves)
    return [
        message(
            "stock",
            f"{row['code']}@MAIN",
            {"sku": row["code"], "location": "MAIN", "quantity": number_text(row["quantity"]), "as_of": as_of},
        )
        for row in in_order(rows)
        if row["code"]  # without a code it can be matched with nothing
    ]


def _shipments(records: Records, ids: Sequence[int], as_of: str) -> list[Message]:
    """One message per shipment and order: a shipment that holds several orders is told once for each."""
    moves = ["product.code", "quantity", "state", "sale.reference"]
    fields = [
        "number",
        "reference",
        "state",
        "write_date",
        "create_date",
        *(f"outgoing_moves.{field}" for field in moves),
    ]
    rows = records.rpc.call("stock.shipment.out.read", list(ids), fields)
    left_at = _left_at(records, ids)
    messages = []
    for row in in_order(rows):
        by_order: dict[str | None, dict[str, Any]] = defaultdict(lambda: defaultdict(int))
        for move in row["outgoing_moves."]:
            if move["state"] != "cancelled":
                by_order[(move["sale."] or {}).get("reference")][move["product."]["code"]] += move["quantity"]
        for order_number, quantities in by_order.items():
            own = "" if len(by_order) == 1 else f"/{order_number}"
            payload = {
                "id": f"{row['id']}{own}",
                "number": f"{row['number']}{own}",
                "reference": row["reference"],
                "carrier": None,  # who carries it is no field of Tryton's without further modules
                "state": row["state"],
                "order_number": order_number,
                "shipped_at": left_at.get(row["id"]) or _own_stamp(row),
                "write_date": _own_stamp(row),
                "lines": [{"sku": sku, "quantity": number_text(some)} for sku, some in sorted(quantities.items())],
            }
            messages.append(message("shipments", payload["id"], payload))
    return messages


def _left_at(records: Records, ids: Sequence[int]) -> dict[int, str]:
    """When each shipment left: Tryton keeps the day, its journal the moment, which no later correction moves."""
    resources = [f"stock.shipment.out,{number}" for number in ids]
    domain = [("resource", "in", resources), ("target", "=", "state:done")]
    rows = records.rpc.call("ir.model.log.search_read", domain, 0, None, [("id", "DESC")], ["resource", "create_date"])
    return {int(row["resource"].split(",")[1]): utc_stamp(row["create_date"]) for row in rows}  # the first is told last


def _parties(records: Records, ids: Sequence[int], as_of: str) -> list[Message]:
    """Who is known, with the e-mail address and telephone number that were entered first, and the price list they buy by."""
    mechanism = ["type", "value", "active", "write_date", "create_date"]
    fields = ["code", "name", "active", "write_date", "create_date"]
    fields += [f"contact_mechanisms.{name}" for name in mechanism]
    fields += [f"addresses.{name}" for name in (*fields_told(is_marked=True), *STAMPS)]
    fields += ["tax_identifier.code", "identifiers.code"]
    if records.rpc.has_module("sale_price_list"):
        fields.append("sale_price_list.name")
    rows = records.rpc.call("party.party.read", list(ids), fields)
    messages = []
    for row in in_order(rows):
        reached = reached_by(row)
        payload = {
            "id": str(row["id"]),
            **{name: row[name] for name in ("code", "name")},
            "email": reached.get("email"),
            "phone": reached.get("phone"),
            "price_list": (row.get("sale_price_list.") or {}).get("name"),
            "tax_number": (row["tax_identifier."] or {}).get("code"),
            "shop_number": numbers_on(row["identifiers."]).get(SHOP_NUMBER),
            "addresses": as_told(chosen(row["addresses."]), records.rpc.user),
            "active": bool(row["active"]),
            "write_date": stamp_of(row),
        }
        messages.append(message("parties", payload["id"], payload))
    return messages


def _price_lines(records: Records, ids: Sequence[int], as_of: str) -> list[Message]:
    """What each line of a price list comes to, as of its own last change or its list's."""
    rows = records.rpc.call("product.price_list.line.read", list(ids), PRICE_LINE)
    company = records.rpc.context["company"]
    return [
        message("price_lines", str(row["id"]), {**price_line(row, company), "write_date": stamp_of(row)})
        for row in in_order(rows)
    ]


def reached_by(party: Row) -> dict[str, str]:
    """The e-mail address and the telephone number that were entered first."""
    reached: dict[str, str] = {}
    for each in sorted(party["contact_mechanisms."], key=lambda each: each["id"]):
        if each["active"]:
            reached.setdefault("phone" if each["type"] in ("mobile", "other") else each["type"], each["value"])
    return reached


def _own_stamp(row: Mapping[str, Any]) -> str:
    return utc_stamp(row["write_date"] or row["create_date"])


def in_order(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["id"])


GOODS = [("type", "=", "goods")]


def _in_the_house(records: Records) -> list[Any]:
    """Moves that changed what lies in the house; those not yet done change nothing."""
    here = records.shelves
    touched = ["OR", ("from_location", "child_of", here, "parent"), ("to_location", "child_of", here, "parent")]
    return [("state", "in", ["done", "cancelled"]), ("product.type", "=", "goods"), touched]


def _shipped(records: Records) -> list[Any]:
    return [("state", "=", "done"), ("warehouse", "=", records.warehouse)]


def _customers(records: Records) -> list[Any]:
    """Everyone but the companies that keep their books here."""
    return [("id", "not in", records.companies)]


def _told(
    stream: str, tell: Callable[[Records, Sequence[int]], Told]
) -> Callable[[Records, Sequence[int], str], list[Message]]:
    """What tells messages of the stream from what tells records."""
    return lambda records, ids, as_of: [message(stream, number, told) for number, told in tell(records, ids)]


STREAMS = {
    "sales": Stream("sale.sale", orders_alone, ("lines",), _sales),
    "products": Stream("product.product", lambda records: [], ("template",), _products),
    "stock": Stream("stock.move", _in_the_house, (), _moved),
    "price_lines": Stream("product.price_list.line", lambda records: [], ("price_list",), _price_lines),
    "parties": Stream("party.party", _customers, ("contact_mechanisms", "addresses"), _parties),
    "shipments": Stream("stock.shipment.out", _shipped, (), _shipments),
    "credits": Stream("account.invoice", posted, (), _told("credits", credit_notes)),
    "returned_shipments": Stream("stock.shipment.out.return", taken_in, (), _told("returned_shipments", received)),
}

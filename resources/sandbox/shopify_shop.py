"""The sandbox shop's own books: orders, stock, parcels and unsent webhooks in one SQLite file that survives a kill."""

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from resources.sandbox.catalogue import CATALOGUE
from resources.sandbox.shopify_customers import Customers
from resources.sandbox.shopify_orders import (
    FIRST_ORDER_ID,
    LOCATION_ID,
    LOCATION_NAME,
    ZERO,
    graphql_order,
    recount,
    rest_order,
    rest_time,
    rounded,
)
from resources.sandbox.shopify_returns import graphql_refund_line, graphql_return, refund_line

TABLES = """
create table if not exists orders (
    order_id   integer primary key,
    n          integer not null unique,
    name       text not null,
    created_at integer not null,     -- seconds since 1970, in UTC
    updated_at integer not null,
    body       text not null,        -- as REST posts it
    parts      text not null         -- its fulfilment orders
);
create index if not exists orders_updated on orders (updated_at, order_id);
create table if not exists variants (
    variant_id        integer primary key,
    product_id        integer not null,
    inventory_item_id integer not null unique,
    sku               text not null,
    title             text not null,
    price             text not null,
    is_tracked        integer not null,
    updated_at        integer not null
);
create table if not exists levels (
    inventory_item_id integer primary key,
    available         integer not null,
    committed         integer not null,
    updated_at        integer not null
);
create table if not exists webhooks (
    webhook_id text primary key,
    event_id   text not null,
    topic      text not null,
    body       text not null,
    triggered  text not null,
    due_at     real not null,
    attempts   integer not null default 0,
    sent_at    real,
    last_error text
);
create index if not exists webhooks_due on webhooks (due_at) where sent_at is null;
create table if not exists plans (plan_id integer primary key, order_id integer, due_at real not null, step text not null);
create table if not exists idempotency (key text primary key, request text not null, answer text);
create table if not exists payments (order_id integer primary key, authorization text not null);
create table if not exists returns (return_id integer primary key, order_id integer not null, body text not null);
create index if not exists returns_of on returns (order_id);
create table if not exists facts (name text primary key, value text not null);
"""
FIRST_VARIANT = 44_900_000_000
FIRST_PRODUCT = 8_300_000_000
FIRST_ITEM = 47_000_000_000
PARCEL_BASE, PARCEL = 4_000_000_000, 10_000_000_000  # the n-th parcel of an order: n of the latter beyond its base
REFUND_BASE, REFUND = 4_000_000_000_000, 10_000_000_000  # the same of its refunds, below its own id
RETURNS = (
    "(select json_group_array(json(returns.body)) from returns where returns.order_id = orders.order_id) as returns"
)
PART = 1_000_000_000_000  # an order has one fulfilment order, whose id lies so far beyond its own
DAY = 86_400


class NotPossible(Exception):
    """The shop cannot do what was asked of it."""


class Shop:
    """All that the shop knows. Every public method is one transaction under one lock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.execute("pragma journal_mode = wal")  # a killed process loses nothing that was committed
        self.database.executescript(TABLES)
        self.customers = Customers(self)
        self.is_posting = True
        with self.transaction():
            for sku, title, price, stock in CATALOGUE:
                if not self.variant(sku):
                    self.add_variant(sku=sku, title=title, price=price, available=stock)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            if self.database.in_transaction:  # the outer one commits
                yield self.database
                return
            self.database.execute("begin immediate")
            try:
                yield self.database
            except BaseException:
                self.database.execute("rollback")
                raise
            self.database.execute("commit")

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        with self.lock:
            return [dict(row) for row in self.database.execute(sql, values)]

    def fact(self, name: str, default: str) -> str:
        found = self.rows("select value from facts where name = ?", name)
        return str(found[0]["value"]) if found else default

    def remember(self, name: str, value: str) -> None:
        with self.transaction() as database:
            database.execute("insert or replace into facts values (?, ?)", (name, value))

    # --- products and stock

    def add_variant(self, *, sku: str, title: str, price: str, available: int, tracked: bool = True) -> dict[str, Any]:
        with self.transaction() as database:
            n = self.rows("select count(*) as n from variants")[0]["n"] + 1
            now = int(time.time())
            database.execute(
                "insert into variants values (?, ?, ?, ?, ?, ?, ?, ?)",
                (FIRST_VARIANT + n, FIRST_PRODUCT + n, FIRST_ITEM + n, sku, title, price, tracked, now),
            )
            database.execute("insert into levels values (?, ?, 0, ?)", (FIRST_ITEM + n, available, now))
        found = self.variant(sku)
        assert found is not None
        return found

    def variant(self, sku: str | None) -> dict[str, Any] | None:
        found = self.rows("select * from variants where sku = ? order by variant_id limit 1", sku)
        return found[0] if found else None

    def set_price(self, variant_id: int, price: str) -> None:
        with self.transaction() as database:
            database.execute(
                "update variants set price = ?, updated_at = ? where variant_id = ?",
                (price, int(time.time()), variant_id),
            )

    def stock(self) -> list[dict[str, Any]]:
        return self.rows(
            "select *, available + committed as on_hand, max(levels.updated_at, variants.updated_at) as moved_at"
            " from levels join variants using (inventory_item_id) order by inventory_item_id"
        )

    def level(self, item_id: int) -> dict[str, Any] | None:
        found = [row for row in self.stock() if row["inventory_item_id"] == item_id]
        return found[0] if found else None

    def move_stock(self, item_id: int, *, available: int = 0, committed: int = 0) -> None:
        with self.transaction() as database:
            database.execute(
                "update levels set available = available + ?, committed = committed + ?, updated_at = ?"
                " where inventory_item_id = ?",
                (available, committed, int(time.time()), item_id),
            )

    def _move_line(self, line: Mapping[str, Any], *, available: int = 0, committed: int = 0) -> None:
        variant = self.variant(line["sku"])
        if variant and variant["is_tracked"]:
            self.move_stock(variant["inventory_item_id"], available=available, committed=committed)

    # --- orders

    def order(self, order_id: int) -> dict[str, Any]:
        """The order as REST tells it. Raises NotPossible."""
        found = self.rows("select body from orders where order_id = ?", order_id)
        if not found:
            raise NotPossible(f"there is no order {order_id}")
        body: dict[str, Any] = json.loads(found[0]["body"])
        return body

    def parts(self, order_id: int) -> list[dict[str, Any]]:
        """The order's fulfilment orders."""
        found = self.rows("select parts from orders where order_id = ?", order_id)
        parts: list[dict[str, Any]] = json.loads(found[0]["parts"]) if found else []
        return parts

    def place(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Take an order as `resources.sandbox.traffic.order_content` describes it; it commits stock and tells the world."""
        with self.transaction() as database:
            n = int(self.fact("orders", "0")) + 1
            self.remember("orders", str(n))
            content = {**content, "lines": [self._known(line) for line in content["lines"]]}
            order = rest_order(content, n=n, placed_at=datetime.now(UTC))
            if order["customer"]:
                order["customer"] = self.customers.known(order["customer"], order["buyer_accepts_marketing"])
            for line in order["line_items"]:
                self._move_line(line, available=-line["quantity"], committed=line["quantity"])
            part = {
                "id": order["id"] + PART,
                "status": "OPEN",
                "lines": [
                    {
                        "id": line["id"] + 1,
                        "line_item_id": line["id"],
                        "sku": line["sku"],
                        "title": line["title"],
                        "total": line["quantity"],
                        "remaining": line["quantity"],
                    }
                    for line in order["line_items"]
                ],
            }
            now = int(time.time())
            database.execute(
                "insert into orders values (?, ?, ?, ?, ?, ?, ?)",
                (order["id"], n, order["name"], now, now, _text(order), _text([part])),
            )
            wish = content.get("webhooks") or {}
            self.tell(["orders/create"], order, late=wish.get("late", 0), twice=wish.get("twice", False))
            for step in content.get("then") or []:
                database.execute(
                    "insert into plans (order_id, due_at, step) values (?, ?, ?)",
                    (order["id"], time.time() + step["after"], _text(step)),
                )
        return order

    def _known(self, line: Mapping[str, Any]) -> dict[str, Any]:
        variant = self.variant(line["sku"])
        ids = {"variant_id": variant["variant_id"], "product_id": variant["product_id"]} if variant else {}
        return {**line, **ids}

    def save(
        self, order: dict[str, Any], parts: Sequence[Mapping[str, Any]] | None = None, *, touch: bool = True
    ) -> None:
        """Keep a changed order. Its time always moves on by a second at least.

        The real one tells two changes within a second apart by nothing; here the later one can be told.
        """
        with self.transaction() as database:
            before = self.rows("select updated_at from orders where order_id = ?", order["id"])[0]["updated_at"]
            at = max(int(time.time()), before + 1) if touch else before
            order["updated_at"] = rest_time(datetime.fromtimestamp(at, UTC))
            database.execute(
                "update orders set updated_at = ?, body = ?, parts = coalesce(?, parts) where order_id = ?",
                (at, _text(order), None if parts is None else _text(parts), order["id"]),
            )

    def edit(self, order_id: int, quantities: Mapping[int, int]) -> dict[str, Any]:
        """Lower lines (line id: new quantity; 0 removes it), as a merchant's order edit does."""
        with self.transaction():
            order, parts = self.order(order_id), self.parts(order_id)
            if order["cancelled_at"]:
                raise NotPossible(f"{order['name']} is cancelled and cannot be edited")
            for line in order["line_items"]:
                if line["id"] not in quantities:
                    continue
                fewer = line["current_quantity"] - quantities[line["id"]]
                if not 0 <= fewer <= line["fulfillable_quantity"]:
                    raise NotPossible(f"{order['name']}: only units that have not left can be taken off a line")
                line["current_quantity"] -= fewer
                self._move_line(line, available=fewer, committed=-fewer)
                for open_line in (one for part in parts for one in part["lines"] if one["line_item_id"] == line["id"]):
                    taken = min(fewer, open_line["remaining"])
                    open_line["remaining"] -= taken
                    open_line["total"] -= taken
                    fewer -= taken
            recount(order)
            _close_parts(parts)
            self.save(order, parts)
            self.tell(["orders/updated"], order)
        return order

    def pay(self, order_id: int) -> dict[str, Any]:
        with self.transaction():
            order = self.order(order_id)
            if order["cancelled_at"]:
                raise NotPossible(f"{order['name']} is cancelled and cannot be paid")
            order["financial_status"] = "paid"
            recount(order)
            self.save(order)
            self.tell(["orders/updated"], order)
        return order

    def cancel(self, order_id: int, reason: str = "customer") -> dict[str, Any]:
        """Cancel, refund and restock what has not left. Raises NotPossible."""
        with self.transaction():
            order, parts = self.order(order_id), self.parts(order_id)
            if order["cancelled_at"]:
                raise NotPossible(f"{order['name']} is cancelled already")
            if order["fulfillments"]:
                raise NotPossible("Cannot cancel an order that has outstanding fulfillments")
            was_paid, total = _is_paid(order), Decimal(order["current_total_price"]) - _refunded(order)
            back = []
            for line in order["line_items"]:
                self._move_line(line, available=line["current_quantity"], committed=-line["current_quantity"])
                if line["current_quantity"]:
                    back.append(refund_line(order, line, line["current_quantity"], "cancel"))
                line["current_quantity"] = 0
            at = rest_time(datetime.now(UTC))
            order |= {"cancelled_at": at, "closed_at": at, "cancel_reason": reason}
            order["financial_status"] = "refunded" if was_paid else "voided"
            refund = self._refund_of(order, total if was_paid else ZERO, "success") | {
                "restock": True,
                "refund_line_items": back,
            }
            order["refunds"].append(refund)
            for part in parts:
                part["status"] = "CANCELLED"
                for line in part["lines"]:
                    line["remaining"] = 0
            recount(order)
            self.save(order, parts)
            self.tell(["orders/cancelled", "orders/updated"], order)
            if refund["transactions"]:
                self.tell(["refunds/create"], refund)
        return order

    def refund(
        self,
        order_id: int,
        amount: Decimal,
        *,
        status: str,
        note: str | None = None,
        parts: Sequence[Mapping[str, Any]] = (),
        gateway: str = "stripe",
    ) -> dict[str, Any]:
        """Give back an amount, for these parts of its lines; `status` says whether the payment service took it.

        What goes by the gateway `manual` is written down and no more. Raises NotPossible.
        """
        with self.transaction():
            order = self.order(order_id)
            left = Decimal(order["total_price"]) - _refunded(order)
            if not _is_paid(order) or order["cancelled_at"] or not ZERO <= amount <= left or not (amount or parts):
                raise NotPossible(f"{order['name']}: {amount} cannot be given back")
            refund = self._refund_of(order, amount, status, gateway) | {"note": note, "refund_line_items": list(parts)}
            order["refunds"].append(refund)
            for line in order["line_items"]:
                for part in (one for one in parts if one["line_item_id"] == line["id"]):
                    line["current_quantity"] -= part["quantity"]
            order["financial_status"] = "refunded" if amount == left else "partially_refunded"
            recount(order)
            self.save(order)
            self.tell(["orders/updated"], order)
            self.tell(["refunds/create"], refund)
        return refund

    def _refund_of(
        self, order: Mapping[str, Any], amount: Decimal, status: str, gateway: str = "stripe"
    ) -> dict[str, Any]:
        """The order's next refund; without an amount it moves no money."""
        at = rest_time(datetime.now(UTC))
        refund_id = order["id"] - REFUND_BASE + len(order["refunds"]) * REFUND
        known = self.rows("select authorization from payments where order_id = ?", order["id"])
        transaction = {
            "id": refund_id + 1,
            "order_id": order["id"],
            "kind": "refund",
            "gateway": gateway,
            "status": status,
            "message": "" if status == "success" else "The payment service could not be reached.",
            "amount": str(rounded(amount, order["currency"])),
            "currency": order["currency"],
            "authorization": known[0]["authorization"] if known and gateway != "manual" else None,
            "created_at": at,
            "processed_at": at,
        }
        return {
            "id": refund_id,
            "admin_graphql_api_id": f"gid://shopify/Refund/{refund_id}",
            "order_id": order["id"],
            "created_at": at,
            "processed_at": at,
            "note": None,
            "restock": False,
            "refund_line_items": [],
            "transactions": [transaction] if amount > 0 else [],
        }

    # --- returns, as the customer service asks

    def returns_of(self, order_id: int) -> list[dict[str, Any]]:
        rows = self.rows("select body from returns where order_id = ? order by return_id", order_id)
        return [json.loads(row["body"]) for row in rows]

    def return_named(self, return_id: int) -> tuple[int, dict[str, Any]]:
        """The order's id and the return as REST tells it. Raises NotPossible."""
        found = self.rows("select order_id, body from returns where return_id = ?", return_id)
        if not found:
            raise NotPossible(f"there is no return {return_id}")
        return found[0]["order_id"], json.loads(found[0]["body"])

    def keep_return(self, order_id: int, told: Mapping[str, Any]) -> None:
        with self.transaction() as database:
            database.execute("insert or replace into returns values (?, ?, ?)", (told["id"], order_id, _text(told)))

    def paid_by(self, order_id: int, authorization: str) -> None:
        """Remember by which payment of the payment service the order is paid."""
        with self.transaction() as database:
            database.execute("insert or replace into payments values (?, ?)", (order_id, authorization))

    def to_settle(self, since: int, limit: int = 1000) -> list[dict[str, Any]]:
        """The orders that changed since then, oldest change first, as the shop's till needs them."""
        found = self.rows(
            "select n, updated_at, body from orders where updated_at >= ? order by updated_at, order_id limit ?",
            since,
            limit,
        )
        names = (
            "id",
            "name",
            "currency",
            "total_price",
            "current_total_price",
            "financial_status",
            "cancelled_at",
            "refunds",
        )
        bodies = [json.loads(row["body"]) for row in found]
        return [
            {"n": row["n"], "updated_at": row["updated_at"], **{name: body[name] for name in names}}
            for row, body in zip(found, bodies, strict=True)
        ]

    def patch(self, order_id: int, changes: Mapping[str, Any], *, touch: bool = True) -> dict[str, Any]:
        """Write into an order behind everybody's back: no webhook, no arithmetic. For lost webhooks, foreign writes."""
        with self.transaction():
            order = {**self.order(order_id), **changes, "id": order_id}
            self.save(order, touch=touch)
        return order

    def delete(self, order_id: int, *, webhook: bool) -> None:
        with self.transaction() as database:
            order = self.order(order_id)
            database.execute("delete from orders where order_id = ?", (order_id,))
            database.execute("delete from plans where order_id = ?", (order_id,))
            if webhook:
                self.tell(["orders/delete"], {"id": order["id"]})

    def fulfil(
        self,
        wanted: Mapping[int, Mapping[int, int] | None],
        *,
        number: str | None,
        company: str | None,
        url: str | None,
    ) -> dict[str, Any]:
        """Ship lines of fulfilment orders (its id: {its line's id: quantity}, or None for all that is left).

        Raises NotPossible in the words of the real one; then nothing has happened.
        """
        with self.transaction():
            order_ids = {part_id - PART for part_id in wanted}
            if len(order_ids) != 1:
                raise NotPossible("Fulfillment orders must belong to the same order.")
            order_id = order_ids.pop()
            if not self.parts(order_id):
                raise NotPossible(f"Invalid fulfillment_order_id provided {order_id + PART}")
            order, parts = self.order(order_id), self.parts(order_id)
            shipped = [
                one
                for part in parts
                if part["id"] in wanted
                for one in _take(part, wanted[part["id"]])  # raises before anything is written
            ]
            lines = {line["id"]: line for line in order["line_items"]}
            n, at = len(order["fulfillments"]) + 1, rest_time(datetime.now(UTC))
            parcel_id = PARCEL_BASE + order_id - FIRST_ORDER_ID + n * PARCEL
            parcel = {
                "id": parcel_id,
                "admin_graphql_api_id": f"gid://shopify/Fulfillment/{parcel_id}",
                "created_at": at,
                "location_id": LOCATION_ID,
                "name": f"{order['name']}.{n}",
                "order_id": order_id,
                "origin_address": {},
                "receipt": {},
                "service": "manual",
                "shipment_status": None,
                "status": "success",
                "tracking_company": company,
                "tracking_number": number,
                "tracking_numbers": [number] if number else [],
                "tracking_url": url,
                "tracking_urls": [url] if url else [],
                "updated_at": at,
                "line_items": [{**lines[line_id], "quantity": quantity} for line_id, quantity in shipped],
            }
            for line_id, quantity in shipped:
                self._move_line(lines[line_id], committed=-quantity)
            order["fulfillments"].append(parcel)
            _close_parts(parts)
            recount(order)
            self.save(order, parts)
            self.tell(["orders/updated"], order)
        return parcel

    def retrack(self, parcel_id: int, *, number: str | None, company: str | None, url: str | None) -> dict[str, Any]:
        """Correct a parcel's tracking. Raises NotPossible."""
        with self.transaction():
            order_id = parcel_id % PARCEL - PARCEL_BASE + FIRST_ORDER_ID
            order = self.order(order_id)
            for parcel in order["fulfillments"]:
                if parcel["id"] == parcel_id:
                    parcel |= {"tracking_company": company, "tracking_number": number, "tracking_url": url}
                    parcel["tracking_numbers"] = [number] if number else []
                    parcel["updated_at"] = rest_time(datetime.now(UTC))
                    self.save(order)
                    self.tell(["orders/updated"], order)
                    return dict(parcel)
        raise NotPossible("Fulfillment does not exist.")

    def note_event(self, parcel_id: int, status: str) -> dict[str, Any]:
        """Note how far a parcel has come. Raises NotPossible."""
        with self.transaction():
            order = self.order(parcel_id % PARCEL - PARCEL_BASE + FIRST_ORDER_ID)
            for parcel in order["fulfillments"]:
                if parcel["id"] == parcel_id:
                    parcel |= {"shipment_status": status.lower(), "updated_at": rest_time(datetime.now(UTC))}
                    self.save(order)
                    self.tell(["orders/updated"], order)
                    return {"id": f"gid://shopify/FulfillmentEvent/{parcel_id}", "status": status}
        raise NotPossible("Fulfillment does not exist.")

    # --- what the world is told

    def tell(self, topics: Sequence[str], body: Mapping[str, Any], *, late: float = 0, twice: bool = False) -> None:
        """Queue webhooks of one event: one event id for all topics, a webhook id for each, kept until they are taken."""
        event, now = str(uuid.uuid4()), time.time()
        with self.transaction() as database:
            for topic in topics:
                values = (str(uuid.uuid4()), event, topic, _text(body), datetime.now(UTC).isoformat(), now + late)
                insert = (
                    "insert into webhooks (webhook_id, event_id, topic, body, triggered, due_at) values (?,?,?,?,?,?)"
                )
                database.execute(insert, values)
                if twice:
                    database.execute(insert, (f"{values[0]}/again", *values[1:5], now + late + 3))

    def due_webhooks(self, limit: int = 50) -> list[dict[str, Any]]:
        if not self.is_posting:
            return []
        return self.rows(
            "select * from webhooks where sent_at is null and due_at <= ? order by due_at, rowid limit ?",
            time.time(),
            limit,
        )

    def posted(self, webhook_id: str, error: str | None) -> None:
        """Note how a webhook fared; one that was not taken is posted again, later each time, every 30 s at last."""
        with self.transaction() as database:
            if error is None:
                database.execute(
                    "update webhooks set sent_at = ?, attempts = attempts + 1, last_error = null where webhook_id = ?",
                    (time.time(), webhook_id),
                )
            else:
                database.execute(
                    "update webhooks set attempts = attempts + 1, last_error = ?,"
                    " due_at = ? + min(30, 1 << min(attempts, 5)) where webhook_id = ?",
                    (error, time.time(), webhook_id),
                )
            database.execute("delete from webhooks where sent_at < ?", (time.time() - DAY,))

    def queue(self) -> dict[str, Any]:
        """How many webhooks wait and why the last one that failed did."""
        row = self.rows(
            "select count(*) filter (where sent_at is null) as waiting, count(*) filter (where sent_at is not null) as"
            " sent, max(attempts) filter (where sent_at is null) as most_attempts, max(last_error) as last_error"
            " from webhooks"
        )[0]
        return {**row, "is_posting": self.is_posting}

    def run_due_plans(self) -> int:
        """Do what was planned for orders when they were placed; how many steps were."""
        due = self.rows("select * from plans where due_at <= ? order by due_at limit 20", time.time())
        for plan in due:
            step = json.loads(plan["step"])
            with self.transaction() as database:
                database.execute("delete from plans where plan_id = ?", (plan["plan_id"],))
                try:
                    self._step(plan["order_id"], step)
                except NotPossible as reason:  # it was shipped meanwhile: the customer is told no
                    print(f"order {plan['order_id']}: {step['do']} came too late: {reason}", flush=True)
        return len(due)

    def _step(self, order_id: int, step: Mapping[str, Any]) -> None:
        if step["do"] == "cancel":
            self.cancel(order_id, step["reason"])
        elif step["do"] == "pay":
            self.pay(order_id)
        elif step["do"] == "refund":
            order = self.order(order_id)
            amount = rounded(Decimal(order["current_total_price"]) * Decimal(step["share"]), order["currency"])
            self.refund(order_id, amount, status=step["status"], note=step["note"])
        else:
            lines = self.order(order_id)["line_items"]
            self.edit(order_id, {lines[step["line"]]["id"]: step["quantity"]})

    # --- as the Admin API asks

    def answer_for(self, order_id: int) -> dict[str, Any] | None:
        """The order as GraphQL answers it, with its fulfilment orders and returns; None when there is none."""
        found = self.rows(f"select body, parts, {RETURNS} from orders where order_id = ?", order_id)
        return _answer(found[0]) if found else None

    def answers(
        self, *, sort: str, after: tuple[int, int] | None, limit: int, where: str, values: Sequence[Any], reverse: bool
    ) -> list[tuple[tuple[int, int], dict[str, Any]]]:
        """A page of orders with the place of each in that order; `where` is ours, its values are bound."""
        way, than = ("desc", "<") if reverse else ("asc", ">")
        place = f" and ({sort}, order_id) {than} (?, ?)" if after else ""
        found = self.rows(
            f"select {sort} as place, order_id, body, parts, {RETURNS} from orders where {where}{place}"
            f" order by {sort} {way}, order_id {way} limit ?",
            *values,
            *(after or ()),
            limit,
        )
        return [((row["place"], row["order_id"]), _answer(row)) for row in found]


def _is_paid(order: Mapping[str, Any]) -> bool:
    return order["financial_status"] in ("paid", "partially_refunded")


def _refunded(order: Mapping[str, Any]) -> Decimal:
    return sum((Decimal(one["amount"]) for refund in order["refunds"] for one in refund["transactions"]), ZERO)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _answer(row: Mapping[str, Any]) -> dict[str, Any]:
    body = json.loads(row["body"])
    order = graphql_order(body)
    for answer, refund in zip(order["refunds"], body["refunds"], strict=True):
        answer["refundLineItems"] = [graphql_refund_line(part) for part in refund["refund_line_items"]]
        answer["orderAdjustments"] = []
    order["returns"] = [graphql_return(told) for told in json.loads(row["returns"])]
    order["fulfillmentOrders"] = [_graphql_part(order, part) for part in json.loads(row["parts"])]
    return order


def _graphql_part(order: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "__typename": "FulfillmentOrder",
        "id": f"gid://shopify/FulfillmentOrder/{part['id']}",
        "orderId": order["id"],
        "orderName": order["name"],
        "createdAt": order["createdAt"],
        "updatedAt": order["updatedAt"],
        "status": part["status"],
        "requestStatus": "UNSUBMITTED" if part["status"] in ("OPEN", "IN_PROGRESS") else "CLOSED",
        "assignedLocation": {
            "name": LOCATION_NAME,
            "countryCode": "DE",
            "location": {"id": f"gid://shopify/Location/{LOCATION_ID}", "name": LOCATION_NAME},
        },
        "lineItems": [
            {
                "id": f"gid://shopify/FulfillmentOrderLineItem/{line['id']}",
                "sku": line["sku"],
                "productTitle": line["title"],
                "totalQuantity": line["total"],
                "remainingQuantity": line["remaining"],
                "requiresShipping": True,
                "lineItem": {"id": f"gid://shopify/LineItem/{line['line_item_id']}", "sku": line["sku"]},
            }
            for line in part["lines"]
        ],
    }


def _take(part: dict[str, Any], wanted: Mapping[int, int] | None) -> list[tuple[int, int]]:
    """Take quantities out of a fulfilment order; the order's line ids with what was taken. Raises NotPossible."""
    if part["status"] not in ("OPEN", "IN_PROGRESS"):
        raise NotPossible(f"Fulfillment order {part['id']} has an unfulfillable status= {part['status'].lower()}.")
    lines = {line["id"]: line for line in part["lines"]}
    if wanted is None:
        wanted = {line_id: line["remaining"] for line_id, line in lines.items() if line["remaining"]}
    taken = []
    for line_id, quantity in wanted.items():
        if line_id not in lines:
            raise NotPossible(f"Fulfillment order line item {line_id} does not exist.")
        if not 0 < quantity <= lines[line_id]["remaining"]:
            raise NotPossible("Invalid fulfillment order line item quantity requested.")
        lines[line_id]["remaining"] -= quantity
        taken.append((lines[line_id]["line_item_id"], quantity))
    if not taken:
        raise NotPossible("Fulfillment order has no items to fulfill.")
    part["status"] = "IN_PROGRESS"
    return taken


def _close_parts(parts: Sequence[dict[str, Any]]) -> None:
    for part in parts:
        if part["status"] in ("OPEN", "IN_PROGRESS") and not any(line["remaining"] for line in part["lines"]):
            part["status"] = "CLOSED"

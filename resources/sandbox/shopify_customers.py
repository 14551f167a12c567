"""The sandbox shop's customers: who they are, what they said about being written to, and what others noted on them."""

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Protocol

from resources.sandbox.shopify_orders import CONSENTS, rest_time

TABLE = """
create table if not exists customers (
    customer_id integer primary key,
    updated_at  integer not null,     -- seconds since 1970, in UTC
    body        text not null         -- as REST posts it
);
create table if not exists metafields (owner text, key text, value text, primary key (owner, key));
"""


class Books(Protocol):
    """The shop in whose books the customers stand."""

    database: sqlite3.Connection

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]: ...

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]: ...

    def tell(self, topics: Sequence[str], body: Mapping[str, Any]) -> None: ...


class Customers:
    """The customers of one shop."""

    def __init__(self, shop: Books) -> None:
        self.shop = shop
        shop.database.executescript(TABLE)

    def known(self, told: Mapping[str, Any], accepts: bool) -> dict[str, Any]:
        """The customer of an order as the shop knows them; who comes for the first time says whether they accept marketing."""
        found = self.body(told["id"])
        if found is None:
            at = told["created_at"]
            consent = {"state": "subscribed" if accepts else "not_subscribed", "opt_in_level": "single_opt_in"}
            nothing = {"state": "not_subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": None}
            found = {
                **told,
                "email_marketing_consent": {**consent, "consent_updated_at": at if accepts else None}
                if told.get("email")
                else None,
                "sms_marketing_consent": {**nothing, "consent_collected_from": "OTHER"} if told.get("phone") else None,
            }
            self.save(found, int(time.time()))
        return found

    def body(self, customer_id: int) -> dict[str, Any] | None:
        found = self.shop.rows("select body from customers where customer_id = ?", customer_id)
        return dict(json.loads(found[0]["body"])) if found else None

    def save(self, customer: dict[str, Any], at: int) -> None:
        with self.shop.transaction() as database:
            customer["updated_at"] = rest_time(datetime.fromtimestamp(at, UTC))
            database.execute(
                "insert or replace into customers values (?, ?, ?)", (customer["id"], at, json.dumps(customer))
            )

    def consent(
        self, customer_id: int, channel: str, *, state: str, at: str | None = None, level: str | None = None
    ) -> None:
        """Write down what a customer says of a channel, and tell the world. Raises KeyError for who is not known."""
        with self.shop.transaction():
            customer = self.body(customer_id)
            if customer is None:
                raise KeyError(customer_id)
            before = customer.get(CONSENTS[channel]) or {}
            customer[CONSENTS[channel]] = {
                **before,
                "state": state.lower(),
                "opt_in_level": (level or before.get("opt_in_level") or "unknown").lower(),
                "consent_updated_at": at or rest_time(datetime.now(UTC)),
            }
            self.save(customer, int(time.time()))
            self.shop.tell(["customers/update"], customer)

    def note(self, owner: str, key: str, value: str) -> None:
        with self.shop.transaction() as database:
            database.execute("insert or replace into metafields values (?, ?, ?)", (owner, key, value))

    def notes(self, customer_id: int) -> dict[str, str]:
        """What others noted on a customer."""
        found = self.shop.rows(
            "select key, value from metafields where owner = ?", f"gid://shopify/Customer/{customer_id}"
        )
        return {row["key"]: row["value"] for row in found}

    def forget(self, owner: str, key: str) -> bool:
        """Take a note back; whether there was one."""
        with self.shop.transaction() as database:
            return database.execute("delete from metafields where owner = ? and key = ?", (owner, key)).rowcount > 0

    def noted(self, owner: str, key: str) -> dict[str, Any] | None:
        """What somebody noted on a customer under that key."""
        found = self.shop.rows("select key, value from metafields where owner = ? and key = ?", owner, key)
        return found[0] if found else None

    def rows(self) -> list[dict[str, Any]]:
        return self.shop.rows("select * from customers order by customer_id")

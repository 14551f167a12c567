"""The address book of a customer of the sandbox shop: each address once, the first of them the default."""

import time
from collections.abc import Mapping
from typing import Any

from resources.sandbox.shopify_customers import Customers
from resources.sandbox.shopify_ids import gid, number_of
from resources.sandbox.shopify_orders import graphql_address

MODEL = "?model_name=CustomerAddress"
REST = {
    "firstName": "first_name", "lastName": "last_name", "company": "company", "address1": "address1", "address2": "address2",
    "city": "city", "zip": "zip", "province": "province", "provinceCode": "province_code", "countryCode": "country_code",
    "phone": "phone",
}  # fmt: skip
Row = dict[str, Any]


class AddressBook:
    """Answers what the Admin API is asked about the addresses of customers."""

    def __init__(self, customers: Customers) -> None:
        self.customers = customers
        self.root = {
            "customerAddressCreate": lambda info, customerId, address, setAsDefault=False: self._write(
                customerId, None, address, is_default=setAsDefault
            ),
            "customerAddressUpdate": lambda info, customerId, addressId, address, setAsDefault=None: self._write(
                customerId, addressId, address, is_default=setAsDefault
            ),
        }

    def resolved(self, customer: Row) -> Row:
        """What a customer's answer tells of the book and of what others noted on the customer."""
        rows = book(customer)
        default = next((row for row in rows if row["default"]), None)
        owner = gid("Customer", customer["id"])
        return {
            "defaultAddress": default and _node(default),
            "addressesV2": lambda info, first=None, **_: {"nodes": [_node(row) for row in rows[:first]]},
            "metafield": lambda info, namespace, key: self.customers.noted(owner, key),
        }

    def move(self, customer_id: int, address: Mapping[str, Any]) -> Row:
        """A customer writes another default address into the shop."""
        with self.customers.shop.transaction():
            customer = self.customers.body(customer_id)
            if customer is None:
                raise KeyError(customer_id)
            rows = book(customer)
            moved = next((row for row in rows if row["default"]), None)
            if moved is None:
                moved = {"id": customer_id * 100, "default": True}
                rows.append(moved)
            moved |= address
            self._save(customer, rows)
            return customer

    def _write(
        self, customer_id: str, address_id: str | None, told: Mapping[str, Any], *, is_default: bool | None
    ) -> dict[str, Any]:
        with self.customers.shop.transaction():
            customer = self.customers.body(number_of(customer_id, "Customer") or 0)
            if customer is None:
                return _refused("customerId", "Customer does not exist")
            rows = book(customer)
            number = number_of(address_id, "MailingAddress") if address_id else None
            changed = next((row for row in rows if row["id"] == number), None)
            if address_id and changed is None:
                return _refused("addressId", "Address does not exist")
            words = {REST[name]: value for name, value in told.items() if name in REST}
            words["name"] = " ".join(word for word in (words.get("first_name"), words.get("last_name")) if word) or None
            if any(_wording(row) == _wording(words) for row in rows if row is not changed):
                return _refused("address", "Signature has already been taken")
            if changed is None:
                changed = {"id": customer["id"] * 100 + len(rows), "default": not rows}
                rows.append(changed)
            changed |= words
            if is_default:
                for row in rows:
                    row["default"] = row is changed
            self._save(customer, rows)
            return {"address": _node(changed), "userErrors": []}

    def _save(self, customer: Row, rows: list[Row]) -> None:
        customer["addresses"] = rows
        customer["default_address"] = next((row for row in rows if row["default"]), None)
        self.customers.save(customer, int(time.time()))
        self.customers.shop.tell(["customers/update"], customer)


def book(customer: Mapping[str, Any]) -> list[Row]:
    """The addresses of a customer as REST tells them; who never wrote in it has the one that came with the first order."""
    if "addresses" in customer:
        return [dict(row) for row in customer["addresses"]]
    first = customer.get("default_address")
    return [{**first, "id": customer["id"] * 100, "default": True}] if first else []


def _node(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**(graphql_address(row, "") or {}), "id": gid("MailingAddress", row["id"]) + MODEL}


def _wording(row: Mapping[str, Any]) -> list[Any]:
    return [row.get(name) or None for name in REST.values()]


def _refused(field: str, message: str) -> dict[str, Any]:
    return {"address": None, "userErrors": [{"field": [field], "message": message}]}

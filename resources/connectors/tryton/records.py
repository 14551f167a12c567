"""What an order needs to find in Tryton, or make there once: products, currency, country, taxes, customer and address."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from resources.connectors.tryton.addresses import of_orders
from resources.connectors.tryton.orders import Customer, Unsuitable, place
from resources.connectors.tryton.parties import SHOP_NUMBER, by_number, code_of
from resources.connectors.tryton.rpc import Refused, Rpc

LIKE_A_PHONE = re.compile(r"\+[0-9 ()./-]{7,20}")  # Tryton with `phonenumbers` refuses others as numbers, not as notes


@dataclass(frozen=True, slots=True)
class Product:
    product: int
    unit: int


@dataclass(frozen=True, slots=True)
class Currency:
    currency: int
    digits: int


class Records:
    """Looks records up by what people call them. What rarely changes is asked for once a process, and again when missing."""

    def __init__(self, rpc: Rpc, warehouse: str) -> None:
        self.rpc = rpc
        self.warehouse_code = warehouse
        self._warehouse: tuple[int, list[int]] | None = None
        self._currencies: dict[str, Currency] = {}
        self._countries: dict[str, int] = {}
        self._taxes: dict[Decimal, int] = {}
        self._companies: list[int] | None = None
        self._zone: ZoneInfo | None = None

    @property
    def companies(self) -> list[int]:
        """The parties whose books are kept in this database."""
        if self._companies is None:
            found = self.rpc.call("company.company.search_read", [], 0, None, None, ["party"])
            self._companies = [row["party"] for row in found]
        return self._companies

    @property
    def zone(self) -> ZoneInfo:
        """Where the company keeps its books: a sale is of a day there."""
        if self._zone is None:
            found = self.rpc.call("company.company.search_read", [], 0, None, None, ["timezone"])
            zones = {row["id"]: row["timezone"] for row in found}
            self._zone = ZoneInfo(zones.get(self.rpc.context["company"]) or "UTC")
        return self._zone

    @property
    def warehouse(self) -> int:
        """The warehouse that ships."""
        return self._places()[0]

    @property
    def shelves(self) -> list[int]:
        """Where its stock lies, and where what is picked waits to leave."""
        return self._places()[1]

    def _places(self) -> tuple[int, list[int]]:
        if self._warehouse is None:
            domain = [("type", "=", "warehouse"), ("code", "=", self.warehouse_code)]
            found = self.rpc.call(
                "stock.location.search_read", domain, 0, 1, None, ["storage_location", "output_location"]
            )
            if not found:
                raise Refused(
                    f"Tryton has no warehouse with code {self.warehouse_code!r}; correct the setting `warehouse`."
                )
            self._warehouse = found[0]["id"], [found[0]["storage_location"], found[0]["output_location"]]
        return self._warehouse

    def products(self, skus: Collection[str]) -> dict[str, Product]:
        """The products that may be sold, by SKU."""
        fields = ["code", "sale_uom"]
        domain = [("code", "in", sorted(skus)), ("salable", "=", True)]
        found = self.rpc.call("product.product.search_read", domain, 0, None, [("id", "DESC")], fields)
        return {row["code"]: Product(row["id"], row["sale_uom"]) for row in found}

    def currency(self, code: Any) -> Currency:
        if code not in self._currencies:
            found = self.rpc.call("currency.currency.search_read", [], 0, None, None, ["code", "digits"])
            self._currencies = {row["code"]: Currency(row["id"], row["digits"]) for row in found}
        if code not in self._currencies:
            raise Unsuitable(f"Tryton has no currency {code!r}; create it there with its rate")
        return self._currencies[code]

    def country(self, code: str | None) -> int | None:
        if code is None:
            return None
        if code not in self._countries:
            found = self.rpc.call("country.country.search_read", [], 0, None, None, ["code"])
            self._countries = {row["code"]: row["id"] for row in found}
        if code not in self._countries:
            raise Unsuitable(
                f"Tryton has no country with code {code!r}; correct the address, or create the country there"
            )
        return self._countries[code]

    def tax(self, rate: Decimal) -> list[int]:
        """The sales tax of that rate, or none for zero. A rate that Tryton lacks is made once, like its first one.

        Storefronts add up state, county and city, so the rates cannot be listed beforehand; the accounts stay the same.
        """
        if not rate:
            return []
        if rate not in self._taxes:
            self._read_taxes()
        if rate not in self._taxes:
            if not self._taxes:
                raise Unsuitable("Tryton has no sales tax in per cent; create one, and other rates are made like it")
            name = f"Sales tax {(rate * 100).normalize():f} %"
            like = min(self._taxes.values())
            self.rpc.call("account.tax.copy", [like], {"rate": rate, "name": name, "description": name})
            self._read_taxes()
        return [self._taxes[rate]]

    def _read_taxes(self) -> None:
        kind = ["OR", ("group", "=", None), ("group.kind", "in", ["sale", "both"])]
        domain = [("type", "=", "percentage"), ("parent", "=", None), kind]
        found = self.rpc.call("account.tax.search_read", domain, 0, None, [("id", "DESC")], ["rate"])
        self._taxes = {row["rate"]: row["id"] for row in found}  # of two with one rate the older

    def parties(self, customers: Collection[Customer]) -> dict[str, int]:
        """The party of each customer by its code: found by the shop's number, email or code, else made, all in one call.

        The code is unique in Tryton, so two couriers can never make one customer twice; the slower one is refused.
        """
        # of two orders of one customer that which tells an email makes the party
        wanted = {customer.code: customer for customer in sorted(customers, key=lambda one: one.email is not None)}
        found: dict[str, int] = {}
        numbers = {code: customer.shop_number for code, customer in wanted.items() if customer.shop_number}
        if numbers:
            by_shop_number = by_number(self.rpc, numbers.values(), SHOP_NUMBER)
            found |= {code: by_shop_number[number] for code, number in numbers.items() if number in by_shop_number}
        reached = [(one.code, one.email) for one in customers if one.email and one.code not in found]
        if reached:
            emails = sorted({spelt for _, email in reached for spelt in (email, email.lower())})
            domain = [("type", "=", "email"), ("value", "in", emails)]  # `ilike` would read every contact each time
            fields = ["value", "party"]
            rows = self.rpc.call("party.contact_mechanism.search_read", domain, 0, None, [("id", "DESC")], fields)
            by_email = {row["value"].lower(): row["party"] for row in rows}  # of two parties the one known for longer
            for code, email in reached:
                if code not in found and email.lower() in by_email:
                    found[code] = by_email[email.lower()]
        if missing := sorted(wanted.keys() - found.keys()):
            any_party: list[Any] = [("code", "in", missing), ("active", "in", [True, False])]
            rows = self.rpc.call("party.party.search_read", any_party, 0, None, None, ["code"])
            found |= {row["code"]: row["id"] for row in rows}
        # a guest with a customer's email is that customer, as she would be had the customer's order come in a batch before
        owners = {one.email.lower(): one.code for one in customers if one.email and one.shop_number}
        same = {
            code: owners[customer.email.lower()]
            for code, customer in wanted.items()
            if code not in found and not customer.shop_number and customer.email and customer.email.lower() in owners
        }
        if new := [customer for code, customer in wanted.items() if code not in found and code not in same]:
            ids = self.rpc.call("party.party.create", [self._party(customer) for customer in new])
            found |= {customer.code: number for customer, number in zip(new, ids, strict=True)}
        return found | {code: found[owner] for code, owner in same.items()}

    def addresses(self, wanted: Collection[tuple[int, Customer]]) -> dict[tuple[int, tuple[str, ...]], int]:
        """The address of each (party, customer), found among the party's own or made, all in one call."""
        fields = ["party", "party_name", "street", "city", "postal_code", "country.code", "party.identifiers.code"]
        domain = [("party", "in", sorted({party for party, _ in wanted}))]
        rows = self.rpc.call("party.address.search_read", domain, 0, None, [("id", "DESC")], fields)
        found = {(row["party"], place_of(row)): row["id"] for row in of_orders(rows)}
        new = {(party, customer.place): customer for party, customer in wanted if (party, customer.place) not in found}
        if new:
            values = [{"party": party, **self._address(customer)} for (party, _), customer in new.items()]
            found |= zip(new, self.rpc.call("party.address.create", values), strict=True)
        return found

    def _party(self, customer: Customer) -> dict[str, Any]:
        reached = [{"type": "email", "value": customer.email}] if customer.email else []
        if customer.phone:
            kind = "phone" if LIKE_A_PHONE.fullmatch(customer.phone) else "other"
            reached.append({"type": kind, "value": customer.phone})
        carried = [{"code": code_of(SHOP_NUMBER, customer.shop_number)}] if customer.shop_number else []
        return {
            "name": customer.name,
            "code": customer.code,
            "addresses": [("create", [self._address(customer)])],
            "contact_mechanisms": [("create", reached)] if reached else [],
            "identifiers": [("create", carried)] if carried else [],
        }

    def _address(self, customer: Customer) -> dict[str, Any]:
        return {
            "party_name": customer.recipient,
            "street": customer.street,
            "city": customer.city,
            "postal_code": customer.postcode,
            "country": self.country(customer.country),
        }


def place_of(address: Mapping[str, Any]) -> tuple[str, ...]:
    """An address of Tryton's as it is compared."""
    country = (address.get("country.") or {}).get("code")
    return place(address["party_name"], address["street"], address["city"], address["postal_code"], country)


def by_reference(sales: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Sales by the order that they carry: those that stand before cancelled ones and drafts, then the oldest."""
    found = defaultdict(list)
    for sale in sales:
        found[sale["reference"]].append(sale)
    rank = {"cancelled": 2, "draft": 1, "quotation": 1}
    return {
        number: sorted(some, key=lambda sale: (rank.get(sale["state"], 0), sale["id"]))
        for number, some in found.items()
    }

"""The prices of the sandbox shop: the variants' own, and price lists with what is fixed in them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo

from resources.sandbox.shopify_ids import gid, number_of
from resources.sandbox.shopify_shop import NotPossible, Shop

TABLES = """
create table if not exists price_lists (list_id integer primary key, name text not null unique, currency text not null);
create table if not exists markets (list_id integer, country text not null, primary key (list_id, country));
create table if not exists fixed_prices (
    price_id   integer primary key,
    list_id    integer not null,
    variant_id integer not null,
    quantity   integer not null,     -- 1: the price itself, more: a break
    amount     text not null,
    unique (list_id, variant_id, quantity)
);
"""
FIRST_LIST = 18_790_000_000
LISTS = (  # a market, a channel, and what was agreed with three accounts
    ("US", "USD"), ("B2B-NORDWIND", "EUR"), ("CONTRACT-14021", "GBP"), ("CONTRACT-14550", "GBP"), ("WHOLESALE", "GBP"),
)  # fmt: skip
MARKETS = {"US": ("US",)}  # the countries whose people a list is shown to; the others are lists of companies
NO_LIST = ("PRICE_LIST_NOT_FOUND", "Price list does not exist.")
PRICES = ("VARIANT_NOT_FOUND", "PRICE_LIST_CURRENCY_MISMATCH")
BREAKS = ("QUANTITY_PRICE_BREAK_ADD_VARIANT_NOT_FOUND", "QUANTITY_PRICE_BREAK_ADD_CURRENCY_MISMATCH")
Refusal = tuple[str, str]  # code and message


class PriceBook:
    """Answers what the Admin API says of prices, and takes what it is told of them."""

    def __init__(
        self, shop: Shop, page: Callable[..., dict[str, Any]], variant: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> None:
        self.shop, self.page, self.variant = shop, page, variant
        with shop.transaction() as database:
            for statement in TABLES.split(";\n"):
                database.execute(statement)
            for number, (name, currency) in enumerate(LISTS, start=1):
                database.execute(
                    "insert or ignore into price_lists values (?, ?, ?)", (FIRST_LIST + number, name, currency)
                )
                for country in MARKETS.get(name, ()):
                    database.execute("insert or ignore into markets values (?, ?)", (FIRST_LIST + number, country))
        self.root = {
            "priceLists": self._lists,
            "priceList": lambda info, id: self._list(self._known(id)),
            "priceListFixedPricesAdd": self._add,
            "priceListFixedPricesDelete": self._delete,
            "quantityPricingByVariantUpdate": self._update_breaks,
            "productVariantsBulkUpdate": self._update_variants,
        }

    # --- what can be read

    def _lists(self, info: GraphQLResolveInfo, sortKey: str = "ID", **page: Any) -> dict[str, Any]:
        rows = self.shop.rows("select * from price_lists order by list_id")
        return _told(self.page(rows, page, lambda row: row["list_id"]), self._list)

    def _known(self, identifier: str) -> dict[str, Any] | None:
        found = self.shop.rows("select * from price_lists where list_id = ?", number_of(identifier, "PriceList"))
        return found[0] if found else None

    def _list(self, row: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if row is None:
            return None
        count = "select count(*) as n from fixed_prices where list_id = ? and quantity = 1"
        return {
            "id": gid("PriceList", row["list_id"]),
            "name": row["name"],
            "currency": row["currency"],
            "catalog": self._catalog(row),
            "fixedPricesCount": self.shop.rows(count, row["list_id"])[0]["n"],
            "prices": lambda info, **asked: self._prices(row, **asked),
        }

    def _catalog(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """To whom a list is shown: the people of a market's countries, or the companies that it was agreed with."""
        number = row["list_id"]
        found = self.shop.rows("select country from markets where list_id = ? order by country", number)
        told = {
            "id": gid("MarketCatalog" if found else "CompanyLocationCatalog", number),
            "title": row["name"],
            "status": "ACTIVE",
        }
        if not found:
            return {"__typename": "CompanyLocationCatalog", **told}
        countries = [
            {"__typename": "MarketRegionCountry", "id": gid("MarketRegionCountry", number * 100 + place), "name": one["country"],
             "code": one["country"]}
            for place, one in enumerate(found)
        ]  # fmt: skip
        regions = {"regionsCondition": {"regions": lambda info, **page: {"nodes": countries}}}
        market = {"id": gid("Market", number), "name": row["name"], "conditions": regions}
        return {"__typename": "MarketCatalog", **told, "markets": lambda info, **page: {"nodes": [market]}}

    def _prices(
        self, price_list: Mapping[str, Any], originType: str | None = None, query: str | None = None, **page: Any
    ) -> dict[str, Any]:
        if originType != "FIXED":
            raise GraphQLError("the sandbox shop tells fixed prices only; ask for originType: FIXED")
        rows = self.shop.rows(
            "select * from fixed_prices where list_id = ? and quantity = 1 order by variant_id", price_list["list_id"]
        )
        if query:
            wanted = {int(term.removeprefix("variant_id:")) for term in query.split(" OR ")}
            rows = [row for row in rows if row["variant_id"] in wanted]
        return _told(
            self.page(rows, page, lambda row: row["variant_id"]), lambda row: self._price(row, price_list["currency"])
        )

    def _price(self, row: Mapping[str, Any], currency: str) -> dict[str, Any]:
        variant = next(one for one in self.shop.stock() if one["variant_id"] == row["variant_id"])
        breaks = self.shop.rows(
            "select * from fixed_prices where list_id = ? and variant_id = ? and quantity > 1 order by quantity",
            row["list_id"],
            row["variant_id"],
        )
        return {
            "originType": "FIXED",
            "price": _money(row["amount"], currency),
            "compareAtPrice": None,
            "variant": self.variant(variant),
            "quantityPriceBreaks": lambda info, sortKey="MINIMUM_QUANTITY", **page: _told(
                self.page(breaks, page, lambda one: one["quantity"]),
                lambda one: {
                    "id": gid("QuantityPriceBreak", one["price_id"]),
                    "minimumQuantity": one["quantity"],
                    "price": _money(one["amount"], currency),
                },
            ),
        }

    # --- what can be written

    def _add(self, info: GraphQLResolveInfo, priceListId: str, prices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        price_list = self._known(priceListId)
        refusal = self._why_not(price_list, prices)
        if refusal or price_list is None:
            return {"prices": None, **_errors(refusal)}
        self._keep(price_list, [(one["variantId"], 1, one["price"]) for one in prices])
        rows = [
            self.shop.rows(
                "select * from fixed_prices where list_id = ? and variant_id = ? and quantity = 1",
                price_list["list_id"],
                number_of(one["variantId"], "ProductVariant"),
            )[0]
            for one in prices
        ]
        return {"prices": [self._price(row, price_list["currency"]) for row in rows], "userErrors": []}

    def _delete(self, info: GraphQLResolveInfo, priceListId: str, variantIds: Sequence[str]) -> dict[str, Any]:
        price_list = self._known(priceListId)
        if price_list is None:
            return {"deletedFixedPriceVariantIds": None, **_errors(NO_LIST)}
        numbers = [number_of(one, "ProductVariant") for one in variantIds]
        fixed = {row["variant_id"] for row in self.shop.rows("select variant_id from fixed_prices where list_id = ?", price_list["list_id"])}  # fmt: skip
        if not set(numbers) <= fixed:
            refusal = ("PRICE_NOT_FIXED", "Only fixed prices can be deleted.")
            return {"deletedFixedPriceVariantIds": None, **_errors(refusal)}
        with self.shop.transaction() as database:
            for number in numbers:
                database.execute(
                    "delete from fixed_prices where list_id = ? and variant_id = ?", (price_list["list_id"], number)
                )
        return {"deletedFixedPriceVariantIds": list(variantIds), "userErrors": []}

    def _update_breaks(self, info: GraphQLResolveInfo, priceListId: str, input: Mapping[str, Any]) -> dict[str, Any]:
        price_list, added = self._known(priceListId), input["quantityPriceBreaksToAdd"]
        refusal = self._why_not(price_list, added, BREAKS)
        if price_list is not None and not refusal:
            fixed = "select variant_id from fixed_prices where list_id = ? and quantity = 1"
            known = {row["variant_id"] for row in self.shop.rows(fixed, price_list["list_id"])}
            if any(number_of(one["variantId"], "ProductVariant") not in known for one in added):
                refusal = (
                    "QUANTITY_PRICE_BREAK_ADD_PRICE_LIST_PRICE_NOT_FOUND",
                    "Fixed price for the variant and price list needs to be set.",
                )
        if refusal or price_list is None:
            return {"productVariants": None, **_errors(refusal)}
        self._keep(price_list, [(one["variantId"], one["minimumQuantity"], one["price"]) for one in added])
        with self.shop.transaction() as database:
            for identifier in input["quantityPriceBreaksToDelete"]:
                database.execute(
                    "delete from fixed_prices where price_id = ?", (number_of(identifier, "QuantityPriceBreak"),)
                )
        return {"productVariants": [], "userErrors": []}

    def _update_variants(
        self, info: GraphQLResolveInfo, productId: str, variants: Sequence[Mapping[str, Any]], **_: Any
    ) -> dict[str, Any]:
        product = number_of(productId, "Product")
        known = {row["variant_id"]: row for row in self.shop.stock() if row["product_id"] == product}
        numbers = [number_of(one["id"], "ProductVariant") for one in variants]
        if not set(numbers) <= set(known):
            error = {"field": ["variants", "0", "id"], "message": "Product variant does not exist"}
            return {"productVariants": None, "userErrors": [error]}
        for number, one in zip(numbers, variants, strict=True):
            self.shop.set_price(number or 0, str(one["price"]))
        fresh = [row for row in self.shop.stock() if row["variant_id"] in numbers]
        return {"productVariants": [self.variant(row) for row in fresh], "userErrors": []}

    def _why_not(
        self, price_list: Mapping[str, Any] | None, prices: Sequence[Mapping[str, Any]], codes: tuple[str, str] = PRICES
    ) -> Refusal | None:
        if price_list is None:
            return NO_LIST
        variants = {row["variant_id"] for row in self.shop.stock()}
        for one in prices:
            if number_of(one["variantId"], "ProductVariant") not in variants:
                return codes[0], "The specified product variant does not exist."
            if one["price"]["currencyCode"] != price_list["currency"]:
                return codes[1], "The price list's currency does not match the price's currency."
        return None

    def _keep(self, price_list: Mapping[str, Any], prices: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        with self.shop.transaction() as database:
            for variant, quantity, money in prices:
                database.execute(
                    "insert into fixed_prices (list_id, variant_id, quantity, amount) values (?, ?, ?, ?)"
                    " on conflict (list_id, variant_id, quantity) do update set amount = excluded.amount",
                    (price_list["list_id"], number_of(variant, "ProductVariant"), quantity, str(money["amount"])),
                )

    # --- levers

    def shown(self) -> dict[str, str]:
        """What the shop shows, by list and SKU, and the quantity where it is more than one."""
        rows = self.shop.rows(
            "select name, sku, quantity, amount, currency from fixed_prices"
            " join price_lists using (list_id) join variants using (variant_id) order by name, sku, quantity"
        )
        named = {
            "/".join(
                [row["name"], row["sku"], *([str(row["quantity"])] if row["quantity"] > 1 else [])]
            ): f"{row['amount']} {row['currency']}"
            for row in rows
        }
        return {f"BASE/{row['sku']}": f"{row['price']} EUR" for row in self.shop.stock()} | named

    def change(self, wish: Mapping[str, Any]) -> dict[str, str]:
        """Somebody in the shop writes another price: list, sku and amount. Raises NotPossible."""
        variant = self.shop.variant(wish["sku"])
        lists = self.shop.rows("select * from price_lists where name = ?", wish["list"])
        if variant is None or not (lists or wish["list"] == "BASE"):
            raise NotPossible(f"there is no SKU {wish['sku']} or no list {wish['list']}")
        if wish["list"] == "BASE":
            self.shop.set_price(variant["variant_id"], wish["amount"])
        else:
            self._keep(lists[0], [(gid("ProductVariant", variant["variant_id"]), 1, {"amount": wish["amount"]})])
        return self.shown()


def _errors(refusal: Refusal | None) -> dict[str, Any]:
    code, message = refusal or ("", "")
    return {"userErrors": [{"code": code, "field": ["priceListId"], "message": message}]}


def _money(amount: str, currency: str) -> dict[str, str]:
    return {"amount": amount, "currencyCode": currency}


def _told(page: dict[str, Any], shape: Callable[[Any], Any]) -> dict[str, Any]:
    """A page with its rows as the API tells them."""
    nodes = [shape(row) for row in page["nodes"]]
    edges = [{**edge, "node": node} for edge, node in zip(page["edges"], nodes, strict=True)]
    return {**page, "nodes": nodes, "edges": edges}

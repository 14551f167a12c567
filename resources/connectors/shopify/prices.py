"""Prices in Shopify: the variant's own price, and what is fixed in price lists, one by one or from a quantity on."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import groupby
from typing import Any

from resources.connectors.connector import BatchRefused, Delivery, Outcome, Result, one_by_one_where_needed
from resources.connectors.shopify.admin_api import AdminApi

BASE = "BASE"  # the list of those who have none: the variants' own prices
AT_ONCE = 100  # prices in one mutation; Shopify takes 250
SKUS_AT_ONCE = 50  # in one search
VARIANT, PRICE_LIST = "gid://shopify/ProductVariant/", "gid://shopify/PriceList/"


@dataclass(frozen=True, slots=True)
class Target:
    """The one price of the shop that a delivery means."""

    delivery: Delivery
    price_list: str | None  # global id; None: the variant's own price
    variant: str
    product: str
    from_quantity: int

    @property
    def kind(self) -> tuple[str, str, bool]:
        """What can be written together: one list, or one product's own prices."""
        return self.delivery.action, self.price_list or self.product, self.from_quantity > 1

    @property
    def remote_id(self) -> str:
        if self.price_list is None:
            return f"{BASE}/{self.variant}"
        place = f"{self.price_list.removeprefix(PRICE_LIST)}/{self.variant.removeprefix(VARIANT)}"
        return place if self.from_quantity == 1 else f"{place}/{self.from_quantity}"

    @property
    def money(self) -> dict[str, str]:
        payload = self.delivery.payload
        return {"amount": str(payload["amount"]), "currencyCode": str(payload["currency"])}


NO_FIXED_PRICE = "QUANTITY_PRICE_BREAK_ADD_PRICE_LIST_PRICE_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a price list belongs to: a market's people are shown it, or the companies that it was agreed with."""

    title: str | None  # none: nobody is shown it
    markets: list[str]
    countries: frozenset[str]


@dataclass(frozen=True)
class Prices:
    """The prices of one shop."""

    api: AdminApi

    def pages(self) -> Iterator[tuple[list[dict[str, Any]], bool]]:
        """Every price that is fixed in a list, each flat and with an id of its own; the last page says so."""
        lists = self._lists()
        for number, price_list in enumerate(lists, start=1):
            after, more = None, True
            while more:
                found = self.api.ask("FixedPrices", {"list": price_list["id"], "after": after, "search": None})
                prices = (found.data["priceList"] or {"prices": _NOTHING})["prices"]  # deleted since it was listed
                more, after = prices["pageInfo"]["hasNextPage"], prices["pageInfo"]["endCursor"]
                rows = [row for node in prices["nodes"] for row in _rows(price_list, node)]
                yield rows, not more and number == len(lists)
        if not lists:
            yield [], True

    def write(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Set or take back these prices, all of a list together; the later word about a price goes later."""
        found = self._targets(deliveries)
        outcomes = {one.delivery_id: found[one.delivery_id] for one in deliveries}
        targets = [target for target in outcomes.values() if isinstance(target, Target)]
        known = {target.delivery.delivery_id: target for target in targets}
        settled = {number: told for number, told in outcomes.items() if isinstance(told, Outcome)}
        for same in _in_turns(targets):
            for part in _in_parts(same, AT_ONCE):
                send = partial(self._send, known)
                for outcome in one_by_one_where_needed([target.delivery for target in part], send):
                    settled[outcome.delivery_id] = outcome
        return [settled[one.delivery_id] for one in deliveries]

    def find(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Whether the shop shows these prices, or no longer those that were taken back."""
        found = self._targets(deliveries)
        targets = [target for target in found.values() if isinstance(target, Target)]
        shown = self._shown(targets)
        outcomes = []
        for one in deliveries:
            target = found[one.delivery_id]
            if isinstance(target, Outcome):
                outcomes.append(Outcome(one.delivery_id, Result.RETRY, reason=target.reason))
                continue
            price = shown.get(target.remote_id)
            is_so = price is None if one.action == "delete" else _is_same(price, one.payload.get("amount"))
            told = None if is_so else f"the shop shows {price or 'no price'} for {one.key}"
            outcomes.append(_applied(target) if is_so else Outcome(one.delivery_id, Result.RETRY, reason=told))
        return outcomes

    def _send(self, known: Mapping[int, Target], deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Write prices of one kind. Raises BatchRefused, for Shopify takes all of them or none."""
        targets = [known[one.delivery_id] for one in deliveries]
        first = targets[0]
        wish: dict[str, Any]
        if first.from_quantity > 1:
            done = self._send_breaks(targets)
        elif first.delivery.action == "delete":
            wish = {"list": first.price_list, "variants": [target.variant for target in targets]}
            done = self.api.write("DeletePrices", wish)["priceListFixedPricesDelete"]
        elif first.price_list is None:
            own = [{"id": target.variant, "price": target.money["amount"]} for target in targets]
            wish = {"product": first.product, "variants": own}
            done = self.api.write("SetVariantPrices", wish)["productVariantsBulkUpdate"]
        else:
            fixed = [{"variantId": target.variant, "price": target.money} for target in targets]
            done = self.api.write("AddPrices", {"list": first.price_list, "prices": fixed})["priceListFixedPricesAdd"]
        errors = done["userErrors"] if done else [{"message": "it says not why"}]
        if all(error.get("code") == "PRICE_NOT_FIXED" for error in errors):  # what is gone already is gone
            return [_applied(target) for target in targets]
        if len(targets) > 1:
            raise BatchRefused(f"Shopify refuses these prices: {errors[0]['message']}")
        told = "; ".join(error["message"] for error in errors)
        if any(error.get("code") == NO_FIXED_PRICE for error in errors):  # the price of one piece comes by itself
            waits = f"{first.delivery.key} waits for the price of one piece in its list: {told}"
            return [Outcome(first.delivery.delivery_id, Result.RETRY, reason=waits)]
        return [Outcome.refused(first.delivery, f"Shopify refuses the price of {first.delivery.key}: {told}")]

    def _send_breaks(self, targets: Sequence[Target]) -> dict[str, Any]:
        """Prices from a quantity on; they are taken back by ids of their own."""
        wish: dict[str, Any] = {
            "pricesToAdd": [], "pricesToDeleteByVariantId": [], "quantityRulesToAdd": [], "quantityRulesToDeleteByVariantId": [],
            "quantityPriceBreaksToAdd": [], "quantityPriceBreaksToDelete": [],
        }  # fmt: skip
        if targets[0].delivery.action == "delete":
            ids = self._breaks(targets)
            wish["quantityPriceBreaksToDelete"] = [ids[one.remote_id] for one in targets if one.remote_id in ids]
            if not wish["quantityPriceBreaksToDelete"]:
                return {"userErrors": []}
        else:
            wish["quantityPriceBreaksToAdd"] = [
                {"variantId": one.variant, "minimumQuantity": one.from_quantity, "price": one.money} for one in targets
            ]
        answer = self.api.write("SetBreaks", {"list": targets[0].price_list, "input": wish})
        done: dict[str, Any] = answer["quantityPricingByVariantUpdate"]
        return done

    def _targets(self, deliveries: Sequence[Delivery]) -> dict[int, Target | Outcome]:
        """Which price each delivery means, or why it can be none."""
        lists: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for price_list in self._lists():
            lists[price_list["name"]].append(price_list)
        shop, variants = self._variants({str(one.payload.get("sku") or "") for one in deliveries})
        named = {str(one.payload.get("price_list")) for one in deliveries} & lists.keys()
        shown = {name: self._shown_to(lists[name][0]["id"]) for name in sorted(named)}
        targets: dict[int, Target | Outcome] = {}
        for one in deliveries:
            sku = str(one.payload.get("sku") or "")
            told = self._problem(one, lists, shop, variants.get(sku, [])) or _wrong_place(one, shown)
            if told:
                targets[one.delivery_id] = Outcome.refused(one, told)
                continue
            variant, name = variants[sku][0], str(one.payload["price_list"])
            where = None if name == BASE else str(lists[name][0]["id"])
            quantity = int(one.payload.get("from_quantity") or 1)
            targets[one.delivery_id] = Target(one, where, variant["id"], variant["product"]["id"], quantity)
        return targets

    def _problem(
        self,
        delivery: Delivery,
        lists: Mapping[str, Sequence[Mapping[str, Any]]],
        shop: Mapping[str, Any],
        variants: Sequence[Mapping[str, Any]],
    ) -> str | None:
        """Why this price can have no place in the shop, in a sentence."""
        payload, key = delivery.payload, delivery.key
        name, sku, currency = payload.get("price_list"), payload.get("sku"), payload.get("currency")
        if len(variants) != 1:
            count = f"{len(variants)} variants" if variants else "no variant"
            return f"the shop has {count} with the SKU {sku!r}; it must be there once"
        if name != BASE and len(lists.get(str(name), ())) != 1:
            return f"the shop has {len(lists.get(str(name), ())) or 'no'} price list named {name!r}; there must be one of that name in its catalogs"
        if delivery.action == "delete":
            return (
                f"no price of {key} is valid, and a variant always has one; agree on a price, or take it off sale"
                if name == BASE
                else None
            )
        if not _is_price(payload.get("amount")):
            return f"{payload.get('amount')} is no price of {key}; a price is more than nothing"
        if name == BASE and int(payload.get("from_quantity") or 1) > 1:
            return f"a variant has one price of its own; put {key} into a price list"
        counts_in = shop["currencyCode"] if name == BASE else lists[str(name)][0]["currency"]
        if counts_in != currency:
            return f"{name} counts in {counts_in} in the shop, and {key} is {currency}; no rate is made up: agree on a price in {counts_in}"
        if (payload.get("includes_tax") == "true") != shop["taxesIncluded"]:
            ours, theirs = ("gross", "net") if payload.get("includes_tax") == "true" else ("net", "gross")
            return f"{key} is a {ours} price, and the shop's are {theirs}; no tax is made up: agree on a {theirs} price"
        return None

    def _lists(self) -> list[dict[str, Any]]:
        lists: list[dict[str, Any]] = []
        after, more = None, True
        while more:
            found = self.api.ask("PriceLists", {"after": after}).data["priceLists"]
            lists += found["nodes"]
            more, after = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
        return lists

    def _shown_to(self, price_list: str) -> "Catalog":
        """To whom the prices of a list are shown."""
        found = self.api.ask("ShownTo", {"list": price_list}).data["priceList"]
        catalog = (found or {}).get("catalog")
        markets = (catalog or {}).get("markets", {"nodes": []})["nodes"]
        regions = [((one["conditions"] or {}).get("regionsCondition") or {}).get("regions") for one in markets]
        codes = {node["code"] for one in regions if one for node in one["nodes"] if "code" in node}
        return Catalog(catalog and catalog["title"], [one["name"] for one in markets], frozenset(codes))

    def _variants(self, skus: set[str]) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        """What the shop counts in, and its variants by SKU, exactly as it is written."""
        shop: dict[str, Any] = {}
        variants: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for part in _in_parts(sorted(skus - {""}), SKUS_AT_ONCE):
            search = " OR ".join("sku:" + '"' + sku.replace("\\", "\\\\").replace('"', '\\"') + '"' for sku in part)
            after, more = None, True
            while more:
                answer = self.api.ask("PricedVariants", {"search": search, "after": after}).data
                shop, found = answer["shop"], answer["productVariants"]
                more, after = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
                for variant in found["nodes"]:
                    variants[variant["sku"]].append(variant)
        return shop, variants

    def _shown(self, targets: Sequence[Target]) -> dict[str, str]:
        """What the shop shows in these places, by remote id."""
        shown = {row["id"]: row["price"]["amount"] for row in self._fixed(targets)}
        own = [target for target in targets if target.price_list is None]
        _, variants = self._variants({str(target.delivery.payload["sku"]) for target in own})
        return shown | {f"{BASE}/{variant['id']}": variant["price"] for same in variants.values() for variant in same}

    def _breaks(self, targets: Sequence[Target]) -> dict[str, str]:
        return {row["id"]: row["break_id"] for row in self._fixed(targets) if row["break_id"]}

    def _fixed(self, targets: Sequence[Target]) -> Iterator[dict[str, Any]]:
        """What is fixed for the variants of these targets, in their lists."""
        by_list: dict[str, list[str]] = defaultdict(list)
        for target in targets:
            if target.price_list:
                by_list[target.price_list].append(target.variant.removeprefix(VARIANT))
        for price_list, numbers in by_list.items():
            for part in _in_parts(sorted(set(numbers)), SKUS_AT_ONCE):
                search = " OR ".join(f"variant_id:{number}" for number in part)
                wish = {"list": price_list, "after": None, "search": search}
                found = self.api.ask("FixedPrices", wish).data["priceList"]
                for node in found["prices"]["nodes"] if found else ():
                    yield from _rows({"id": price_list, "name": ""}, node)


def _wrong_place(delivery: Delivery, shown: Mapping[str, Catalog]) -> str | None:
    """Why the list of this name is not the one that is meant, in a sentence."""
    name, key = str(delivery.payload.get("price_list")), delivery.key
    if name not in shown:  # the variants' own prices, which everybody sees
        return None
    catalog, meant = shown[name], frozenset(str(delivery.payload.get("countries") or "").split())
    if catalog.title is None:
        return (
            f"the price list {name} stands in no catalog of the shop, so that nobody would see {key}; put it into one"
        )
    if catalog.countries != meant and (catalog.markets or meant):
        here = f"people in {' '.join(sorted(catalog.countries)) or 'no country'}" if catalog.markets else "companies"
        whom = f"people in {' '.join(sorted(meant))}" if meant else "those with whom it was agreed"
        return f"the shop shows the price list {name} to {here}, and {key} is meant for {whom}; correct the catalog {catalog.title!r}"
    return None


_NOTHING: dict[str, Any] = {"pageInfo": {"hasNextPage": False, "endCursor": None}, "nodes": []}


def _rows(price_list: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A fixed price, and what is cheaper from a quantity on."""
    variant = node["variant"]
    place = f"{price_list['id'].removeprefix(PRICE_LIST)}/{variant['id'].removeprefix(VARIANT)}"
    told = {"list": price_list["name"], "sku": variant["sku"]}
    yield {"id": place, **told, "quantity": "1", "price": node["price"], "break_id": None}
    for one in node["quantityPriceBreaks"]["nodes"]:
        quantity = str(one["minimumQuantity"])
        yield {"id": f"{place}/{quantity}", **told, "quantity": quantity, "price": one["price"], "break_id": one["id"]}


def _in_turns(targets: Sequence[Target]) -> Iterator[list[Target]]:
    """Neighbours of one kind, in which no price stands twice."""
    for _, same in groupby(targets, lambda target: target.kind):
        turn: dict[str, Target] = {}
        for target in same:
            if target.remote_id in turn:
                yield list(turn.values())
                turn = {}
            turn[target.remote_id] = target
        yield list(turn.values())


def _in_parts(some: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    yield from (some[start : start + size] for start in range(0, len(some), size))


def _is_price(text: Any) -> bool:
    try:
        return Decimal(str(text)) > 0
    except InvalidOperation:
        return False


def _is_same(shown: str | None, wanted: Any) -> bool:
    return shown is not None and _is_price(wanted) and Decimal(shown) == Decimal(str(wanted))


def _applied(target: Target) -> Outcome:
    held = {} if target.delivery.action == "delete" else {"amount": target.delivery.payload.get("amount")}
    return Outcome(target.delivery.delivery_id, Result.APPLIED, remote_id=target.remote_id, held=held)

"""Sellable stock in Shopify: quantities at one location, written by compare-and-set."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

from resources.connectors.connector import BatchRefused, Delivery, Outcome, Result, Unreachable, one_by_one_where_needed
from resources.connectors.shopify.admin_api import AdminApi, Refused, guarded, number_of
from resources.host.text import whole

SKUS_AT_ONCE = 50  # in one search
QUANTITIES_AT_ONCE = 100  # in one mutation
STALE_ROUNDS = 5  # how often a quantity is read again because a sale was faster


class Stocked(NamedTuple):
    """An inventory item at our location."""

    item: str  # global id
    sku: str
    is_tracked: bool
    quantity: int | None  # None: it is not stocked there


@dataclass(frozen=True)
class Stock:
    """The stock of one shop; written at `location_id`, or, without it, at the shop's only location."""

    api: AdminApi
    location_id: str

    @cached_property
    def _locations(self) -> list[dict[str, str]]:
        places: list[dict[str, str]] = []
        after, more = None, True
        while more:
            found = self.api.ask("Locations", {"after": after}).data["locations"]
            places += found["nodes"]
            more, after = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
        return places

    def write(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Batches of at most 100, in which no SKU stands twice; the later word about a SKU goes later."""
        return [outcome for same in _by_name(deliveries) for outcome in self._set_all(same)]

    def find(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Whether the shop holds these quantities."""
        return [outcome for same in _by_name(deliveries) for outcome in self._found(same)]

    def _set_all(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        outcomes = []
        left = list(deliveries)
        while left:
            batch: dict[str, Delivery] = {}
            for one in left:
                if len(batch) < QUANTITIES_AT_ONCE:
                    batch.setdefault(str(one.payload.get("sku")), one)
            now = list(batch.values())
            left = [one for one in left if one not in now]
            outcomes += guarded(partial(one_by_one_where_needed, now, self._set), now)
        return outcomes

    def _set(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Write by compare-and-set on the quantity read just before; read again, a few times, where a sale was faster.

        Raises BatchRefused when Shopify refuses the whole without naming a quantity.
        """
        outcomes: dict[int, Outcome] = {}
        location = self._own_location()
        open_ones = list(deliveries)
        for attempt in range(STALE_ROUNDS):
            if not open_ones:
                break
            held = self._held(open_ones, location)
            wishes: list[tuple[Delivery, Stocked, int]] = []
            for one in open_ones:
                wish = _wish(one, held)
                if isinstance(wish, str):
                    outcomes[one.delivery_id] = Outcome.refused(one, wish)
                elif wish[0].quantity == wish[1]:
                    outcomes[one.delivery_id] = _quantity_applied(one, wish[0], location)
                else:
                    wishes.append((one, *wish))
            errors = self._write(wishes, location, attempt) if wishes else {}
            for index, (one, stocked, _) in enumerate(wishes):
                if not errors:
                    outcomes[one.delivery_id] = _quantity_applied(one, stocked, location)
                elif index in errors and "STALE" not in errors[index][0]:
                    told = f"Shopify refuses the quantity of {stocked.sku}: {errors[index][1]}"
                    outcomes[one.delivery_id] = Outcome.refused(one, told)
            open_ones = [one for one in open_ones if one.delivery_id not in outcomes]
        for one in open_ones:
            if one.delivery_id not in outcomes:
                reason = f"the stock of {one.payload.get('sku')} moved {STALE_ROUNDS} times while it was being written"
                outcomes[one.delivery_id] = Outcome(one.delivery_id, Result.RETRY, reason=reason, retry_after=5.0)
        return [outcomes[one.delivery_id] for one in deliveries]

    def _write(
        self, wishes: Sequence[tuple[Delivery, Stocked, int]], location: str, attempt: int
    ) -> dict[int, tuple[str, str]]:
        """Set these quantities, all or none; the code and message against each that stands in the way, by position."""
        wish = {
            "name": _quantity_name(wishes[0][0]),
            "reason": "correction",
            "quantities": [
                {
                    "inventoryItemId": stocked.item,
                    "locationId": location,
                    "quantity": quantity,
                    "changeFromQuantity": stocked.quantity,
                }
                for _, stocked, quantity in wishes
            ],
        }
        # the same write asked for again is the same to Shopify; another quantity, read or wished, is another write
        content = json.dumps([attempt, sorted(one.idempotency_key for one, _, _ in wishes), wish], sort_keys=True)
        key = str(uuid.uuid5(uuid.NAMESPACE_URL, content))
        for _ in range(2):
            try:
                result = self.api.write("SetQuantities", {"input": wish, "key": key})["inventorySetQuantities"]
            except Refused as problem:  # of the whole request; halves are tried, until the bad quantity stands alone
                raise BatchRefused(f"Shopify refuses to set quantities: {problem}") from problem
            said = result["userErrors"] if result else [{"code": None, "field": None, "message": "it says not why"}]
            if not any((error["code"] or "").startswith("IDEMPOTENCY") for error in said):
                break
            key = str(uuid.uuid4())  # that key is spent on an earlier failure; compare-and-set still guards the write
        errors = {}
        for error in said:
            position = next((part for part in error["field"] or () if part.isdigit()), None)
            if position is None:
                raise BatchRefused(f"Shopify refuses to set quantities: {error['message']}")
            errors[int(position)] = (error["code"] or "", error["message"])
        return errors

    def _found(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        location = self._own_location()
        held = self._held(deliveries, location)
        outcomes = []
        for one in deliveries:
            wish = _wish(one, held)
            if not isinstance(wish, str) and wish[0].quantity == wish[1]:
                outcomes.append(_quantity_applied(one, wish[0], location))
            else:
                reason = wish if isinstance(wish, str) else f"the shop holds {wish[0].quantity}, not {wish[1]}"
                outcomes.append(Outcome(one.delivery_id, Result.RETRY, reason=reason))
        return outcomes

    def places_told(self) -> list[dict[str, str]]:
        """Where levels are told of: at the location that is written, else everywhere. Raises Unreachable."""
        wanted = f"gid://shopify/Location/{number_of(self.location_id)}"
        places = [place for place in self._locations if not self.location_id or place["id"] == wanted]
        if not places:
            raise Unreachable(f"the shop has no location {self.location_id}; correct the setting location_id")
        return places

    def _own_location(self) -> str:
        """The location at which sellable stock is written. Raises Refused when that is not clear."""
        places = [place["id"] for place in self._locations]
        if self.location_id:
            wanted = f"gid://shopify/Location/{number_of(self.location_id)}"
            if wanted not in places:
                raise Refused(f"the shop has no location {self.location_id}; correct the setting location_id")
            return wanted
        if len(places) != 1:
            raise Refused(f"the shop has {len(places)} locations; name the one to write in the setting location_id")
        return places[0]

    def _held(self, deliveries: Sequence[Delivery], location: str) -> dict[str, list[Stocked]]:
        """The inventory items of these SKUs: by SKU, exactly as it is written."""
        skus = sorted({str(one.payload.get("sku") or "") for one in deliveries} - {""})
        name = _quantity_name(deliveries[0])
        found: dict[str, list[Stocked]] = {}
        for start in range(0, len(skus), SKUS_AT_ONCE):
            search = " OR ".join(f"sku:{_quoted(sku)}" for sku in skus[start : start + SKUS_AT_ONCE])
            after, more = None, True
            while more:
                wish = {"location": location, "search": search, "names": [name], "after": after}
                items = self.api.ask("Stock", wish).data["inventoryItems"]
                more, after = items["pageInfo"]["hasNextPage"], items["pageInfo"]["endCursor"]
                for item in items["nodes"]:
                    level = item["inventoryLevel"]
                    quantity = int(level["quantities"][0]["quantity"]) if level else None
                    stocked = Stocked(item["id"], item["sku"], item["tracked"], quantity)
                    found.setdefault(stocked.sku, []).append(stocked)
        return found


def _quoted(sku: str) -> str:
    return '"' + sku.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _by_name(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Those that mean the same quantity of the shop, in their order."""
    found: dict[str, list[Delivery]] = {}
    for one in deliveries:
        found.setdefault(_quantity_name(one), []).append(one)
    return list(found.values())


def _quantity_name(delivery: Delivery) -> str:
    return str(delivery.payload.get("quantity_name") or "available")


def _wish(delivery: Delivery, held: Mapping[str, Sequence[Stocked]]) -> tuple[Stocked, int] | str:
    """The item that this delivery means and the quantity it shall have; a sentence when that cannot be."""
    sku = str(delivery.payload.get("sku") or "")
    items = list(held.get(sku, ()))
    linked = (delivery.remote_id or "").split("@")[0]
    if len(items) > 1:
        items = [item for item in items if number_of(item.item) == linked] or items
    if not items:
        return f"the shop has no SKU {sku!r}"
    if len(items) > 1:
        return f"{len(items)} inventory items of the shop have the SKU {sku!r}; it must be unique there"
    if not items[0].is_tracked:
        return f"the shop does not track the stock of {sku}; switch tracking on, or leave it out of the flow"
    if items[0].quantity is None:
        return f"{sku} is not stocked at the location that we write; stock it there in the shop"
    try:
        return items[0], whole(delivery.payload.get("sellable"))
    except ValueError as problem:
        return f"the sellable quantity of {sku} cannot be written: {problem}"


def _quantity_applied(delivery: Delivery, stocked: Stocked, location: str) -> Outcome:
    return Outcome(
        delivery.delivery_id,
        Result.APPLIED,
        remote_id=f"{number_of(stocked.item)}@{number_of(location)}",
        held={"sellable": str(whole(delivery.payload.get("sellable")))},
    )

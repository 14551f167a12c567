"""Shopify: signed webhooks in, polls and snapshots through the Admin API, parcels and sellable stock out."""

import base64
import binascii
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, NamedTuple

from pydantic import PrivateAttr

from resources import shopify_customers, shopify_refunds
from resources.connector import (
    BadMessage,
    BadSignature,
    BatchRefused,
    Connector,
    Delivery,
    Message,
    Outcome,
    Page,
    Result,
    Unreachable,
    one_by_one_where_needed,
)
from resources.shopify_addresses import with_billing
from resources.shopify_api import AdminApi, NoAnswer, Refused
from resources.shopify_prices import Prices
from resources.shopify_returns import refunds_of, returns_of
from resources.text import as_payload, dump_payload

RETURN_STEPS = ("request", "approve", "decline", "cancel", "close", "reopen", "update", "process")
WEBHOOKS = {  # topic: stream
    "orders/create": "orders",
    "orders/updated": "orders",
    "orders/cancelled": "orders",
    "orders/delete": "orders_deleted",
    "refunds/create": "refunds",
    **{f"returns/{step}": "returns" for step in RETURN_STEPS},
    "customers/create": "customers",
    "customers/update": "customers",
}
PAGE = 100  # records; of orders with their lines that is 236 of the 1,000 points that a request may cost
OVERLAP = timedelta(seconds=120)  # how far the search index may lag; what is read twice is kept once
REMEMBERED = 250  # newest records that a cursor knows, so that a probe can tell them from new ones
SAME_SECOND = timedelta(seconds=2)  # times have no fractions: a record may change again within the second it shows
SKUS_AT_ONCE = 50  # in one search
QUANTITIES_AT_ONCE = 100  # in one mutation
STALE_ROUNDS = 5  # how often a quantity is read again because a sale was faster
OPEN = ("OPEN", "IN_PROGRESS")  # fulfilment orders of which something may still leave
EVENTS = {  # how far a parcel has come, as its timeline in the shop says it; that it left, the fulfilment itself says
    "in_transit": "IN_TRANSIT", "out_for_delivery": "OUT_FOR_DELIVERY", "exception": "DELAYED", "delivered": "DELIVERED",
    "returned": "FAILURE",
}  # fmt: skip


class Stream(NamedTuple):
    """How a stream of the Admin API is asked for."""

    operation: str
    records: str  # where they stand in the answer
    is_sorted: bool  # by the time of change: then each page moves the cursor on


STREAMS = {
    "orders_read": Stream("Orders", "orders", True),
    "refunds_read": Stream("Refunds", "orders", False),
    "returns_read": Stream("Returns", "orders", False),
    "customers_read": Stream("Customers", "customers", False),
    "variants": Stream("Variants", "productVariants", False),
    "inventory": Stream("Levels", "inventoryLevels", False),
}


class Stocked(NamedTuple):
    """An inventory item at our location."""

    item: str  # global id
    sku: str
    is_tracked: bool
    quantity: int | None  # None: it is not stocked there


class Shopify(Connector):
    """One shop. `webhook_secrets` are separated by commas, two while one rotates.

    Stock is written at `location_id`; without it, at the shop's only location.
    """

    base_url: str  # https://<shop>.myshopify.com
    shop: str  # <shop>.myshopify.com, as its webhooks name it
    token: str
    webhook_secrets: str
    location_id: str = ""

    _api: AdminApi | None = PrivateAttr(None)
    _places: list[dict[str, str]] | None = PrivateAttr(None)

    @property
    def api(self) -> AdminApi:
        if self._api is None:
            self._api = AdminApi(self.base_url, self.token)
        return self._api

    # --- webhooks

    def read_webhook(self, topic: str, headers: Mapping[str, str], body: bytes) -> Sequence[Message]:
        """Shopify signs the body alone: topic and shop must be those of the address, the body of the topic's shape."""
        said = {name.lower(): value for name, value in headers.items()}
        if not self._is_signed(said.get("x-shopify-hmac-sha256", ""), body):
            raise BadSignature(f"the signature of this {topic} webhook fits none of the secrets that we share")
        told = said.get("x-shopify-topic", "")
        if topic not in WEBHOOKS or told.lower() != topic:
            raise BadSignature(f"a webhook of topic {told!r} was posted to the address of {topic}")
        shop = said.get("x-shopify-shop-domain", "")
        if shop.lower() != self.shop.lower():
            raise BadSignature(f"the shop {shop!r} of this {topic} webhook is not {self.shop}")
        try:
            payload = as_payload(body)
            record = json.loads(payload)
        except (ValueError, RecursionError) as problem:
            raise BadMessage(f"the body of this {topic} webhook is not JSON: {problem}") from problem
        if not isinstance(record, dict):
            raise BadMessage(f"the body of this {topic} webhook is no JSON object")
        if topic == "orders/delete" and set(record) - {"id"}:  # a replayed order must not delete itself
            raise BadMessage("a deletion tells the id alone; this body is another of the shop's messages")
        if WEBHOOKS[topic] == "returns":  # its body tells no time: https://shopify.dev/docs/api/webhooks
            payload = dump_payload({**record, "triggered_at": said.get("x-shopify-triggered-at")})
        event, remote_id = said.get("x-shopify-event-id"), record.get("id")
        return [
            Message(
                stream=WEBHOOKS[topic],
                payload=payload,
                body=body,
                remote_id=remote_id if isinstance(remote_id, str) and remote_id else None,
                event_id=f"{topic}:{event}" if event else None,
                is_versioned=bool(record.get("updated_at")),
            )
        ]

    def is_signed(self, topic: str, headers: Mapping[str, str], body: bytes) -> bool:
        """By a secret that we share, and about this topic and shop."""
        said = {name.lower(): value.lower() for name, value in headers.items()}
        signature = next((value for name, value in headers.items() if name.lower() == "x-shopify-hmac-sha256"), "")
        is_ours = (said.get("x-shopify-topic"), said.get("x-shopify-shop-domain")) == (topic, self.shop.lower())
        return is_ours and self._is_signed(signature, body)

    def _is_signed(self, signature: str, body: bytes) -> bool:
        try:
            given = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        secrets = [secret.strip() for secret in self.webhook_secrets.split(",") if secret.strip()]
        fits = [hmac.compare_digest(given, hmac.new(key.encode(), body, hashlib.sha256).digest()) for key in secrets]
        return any(fits)  # all are tried, so that the time it takes tells nothing

    # --- polls and snapshots

    def has_changed(self, stream: str, cursor: str | None) -> bool:
        known = _known(cursor)
        if known["since"] is None or known["is_fresh"]:
            return True
        if STREAMS[stream].is_sorted:
            wish = {"first": PAGE, "search": _search(known["since"])}
            newest = self.api.ask("NewestOrders", wish).data["orders"]["nodes"]
            return any(known["seen"].get(order["id"]) != order["updatedAt"] for order in newest)
        pages = self._pages(stream, search=_search(known["since"]))
        return any(known["seen"].get(row["id"]) != row["updatedAt"] for rows, _, _ in pages for row in rows)

    def changed_since(self, stream: str, cursor: str | None) -> Iterator[Page]:
        """The cursor moves with every page where answers are sorted by time of change, and at the end elsewhere.

        Elsewhere a record may change on a page that we have behind us; so the cursor then stands where we began.
        """
        how, known = STREAMS[stream], _known(cursor)
        search = _search(known["since"]) if known["since"] else None
        since, seen, is_fresh = known["since"], {}, False
        began: datetime | None = None
        for rows, server_time, is_last in self._pages(stream, search=search, sort="UPDATED_AT"):
            began = began or server_time
            for row in rows:
                seen[row["id"]] = row["updatedAt"]
                is_fresh = is_fresh or _moment(row["updatedAt"]) > server_time - SAME_SECOND
                if how.is_sorted:  # a time beyond Shopify's own clock must not carry the cursor past what is to come
                    since = max(since or "", min(row["updatedAt"], _zulu(server_time)))
            if is_last and not how.is_sorted:
                since = _zulu(began)
            seen = dict(sorted(seen.items(), key=lambda pair: pair[1])[-REMEMBERED:])
            yield Page(
                [_message(stream, row) for row in rows],
                json.dumps({"since": since, "seen": seen if is_last else {}, "is_fresh": is_fresh or not is_last}),
                is_last,
            )

    def snapshot(self, stream: str) -> Iterator[Page]:
        """In the order of ids: what changes meanwhile keeps its place, what is new comes last."""
        if stream == "price_lists":
            for prices, is_last in Prices(self.api).pages():
                yield Page([_message(stream, row) for row in prices], None, is_last)
            return
        for rows, _, is_last in self._pages(stream, search=None, sort="ID"):
            yield Page([_message(stream, row) for row in rows], None, is_last)

    def _pages(
        self, stream: str, *, search: str | None, sort: str = "ID"
    ) -> Iterator[tuple[list[dict[str, Any]], datetime, bool]]:
        """Records page by page, each with Shopify's time of asking; the last of all says so."""
        how = STREAMS[stream]
        places: list[dict[str, str] | None] = [*self._places_told()] if stream == "inventory" else [None]
        for place in places:
            wish: dict[str, Any] = {"first": PAGE, "after": None, "search": search}
            wish |= {"location": place["id"]} if place else {}
            wish |= {"sort": sort} if how.is_sorted else {}
            more = True
            while more:
                answer = self.api.ask(how.operation, wish)
                found = (answer.data["location"] if place else answer.data)[how.records]
                more = found["pageInfo"]["hasNextPage"]
                wish["after"] = found["pageInfo"]["endCursor"]
                nodes = found["nodes"]
                unfold = {"refunds_read": refunds_of, "returns_read": returns_of}.get(stream)
                rows = unfold(nodes) if unfold else [self._row(stream, node, place) for node in nodes]
                if stream == "variants":
                    rows = [{**row, "currency": answer.data["shop"]["currencyCode"]} for row in rows]
                yield rows, answer.server_time, not more and place is places[-1]

    def _row(self, stream: str, node: dict[str, Any], place: dict[str, str] | None) -> dict[str, Any]:
        """A record as we pass it on: an order with all its lines, a level flat and with an id of its own."""
        if stream == "orders_read":
            lines, page = node["lineItems"]["nodes"], node["lineItems"]["pageInfo"]
            while page["hasNextPage"]:
                order = self.api.ask("OrderLines", {"id": node["id"], "after": page["endCursor"]}).data["order"]
                if order is None:  # deleted since the page was read
                    break
                lines, page = lines + order["lineItems"]["nodes"], order["lineItems"]["pageInfo"]
            return {**node, "lineItems": {"nodes": lines}, "refunds": refunds_of([node])}
        if stream == "customers_read":
            return with_billing(node)
        if place is None:
            return node
        item, quantities = node["item"], {one["name"]: one["quantity"] for one in node["quantities"]}
        return {
            "id": f"{_number(item['id'])}@{_number(place['id'])}",
            "inventoryItemId": _number(item["id"]),
            "sku": item["sku"],
            "tracked": item["tracked"],
            "locationId": _number(place["id"]),
            "locationName": place["name"],
            **{name: quantities.get(name) for name in ("available", "on_hand", "committed", "reserved")},
            "updatedAt": node["updatedAt"],
        }

    def _locations(self) -> list[dict[str, str]]:
        if self._places is None:
            places: list[dict[str, str]] = []
            after, more = None, True
            while more:
                found = self.api.ask("Locations", {"after": after}).data["locations"]
                places += found["nodes"]
                more, after = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
            self._places = places
        return self._places

    # --- deliveries

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        prices = Prices(self.api).write
        person = self._tell_customer
        return self._each_kind(
            deliveries,
            parcel=self._ship,
            quantities=self._set_all,
            prices=prices,
            person=person,
            refund=partial(shopify_refunds.record, self.api),
        )

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return self._each_kind(
            deliveries,
            parcel=self._find_parcel,
            quantities=self._find_quantities,
            prices=Prices(self.api).find,
            person=lambda one: Outcome(
                one.delivery_id, Result.RETRY, reason="it is written again, which changes nothing"
            ),
            refund=partial(shopify_refunds.find, self.api),
            when_silent=Result.UNKNOWN,
        )

    def _each_kind(
        self,
        deliveries: Sequence[Delivery],
        *,
        parcel: Callable[[Delivery], Outcome],
        quantities: Callable[[Sequence[Delivery]], list[Outcome]],
        prices: Callable[[Sequence[Delivery]], list[Outcome]],
        person: Callable[[Delivery], Outcome],
        refund: Callable[[Delivery], Outcome],
        when_silent: Result = Result.RETRY,
    ) -> list[Outcome]:
        """Parcels and refunds one by one, for Shopify takes no batch of them; the rest together; an outcome for every delivery."""
        outcomes = []
        stock = [one for one in deliveries if one.entity == "sellable" and one.action == "upsert"]
        priced = [one for one in deliveries if one.entity == "selling_prices" and one.action in ("upsert", "delete")]
        for one in deliveries:
            if one.entity == "fulfilments" and one.action == "upsert":
                outcomes += _guarded(partial(parcel, one), [one], when_silent)
            elif one.entity == "refunds" and one.action == "upsert":
                outcomes += _guarded(partial(refund, one), [one], when_silent)
            elif shopify_customers.takes(one):
                outcomes += _guarded(partial(person, one), [one], when_silent)
            elif one not in stock and one not in priced:
                outcomes.append(_refused(one, f"Shopify takes no {one.action} of {one.entity}; do it there by hand"))
        for name in sorted({_quantity_name(one) for one in stock}):
            outcomes += quantities([one for one in stock if _quantity_name(one) == name])
        if priced:
            outcomes += _guarded(partial(prices, priced), priced, when_silent)
        return outcomes

    def _tell_customer(self, delivery: Delivery) -> Outcome:
        carry = shopify_customers.takes(delivery)
        assert carry is not None
        return carry(self.api, delivery)

    # --- parcels

    def _ship(self, delivery: Delivery) -> Outcome:
        """Create the fulfilment of this parcel, or as much of it as Shopify does not hold yet, and say how far it has come."""
        outcome, parcel = self._fulfil(delivery)
        if outcome.result is not Result.APPLIED or parcel is None:
            return outcome
        event = EVENTS.get(str(delivery.payload.get("status")))
        if event and event != parcel.get("displayStatus"):
            wish = {"fulfillmentId": parcel["id"], "status": event}
            done = self.api.write("TellOfParcel", {"event": wish})["fulfillmentEventCreate"]
            if done is None or done["userErrors"]:
                said = "; ".join(error["message"] for error in (done or {}).get("userErrors", ()))
                return _refused(delivery, f"Shopify refuses to note the parcel as {event}: {said or 'it says not why'}")
        return outcome

    def _fulfil(self, delivery: Delivery) -> tuple[Outcome, dict[str, Any] | None]:
        """The parcel's fulfilment, created where it was missing."""
        number = _tracking_number(delivery)
        order, problem = self._order_of(delivery)
        if order is None:
            return _refused(delivery, problem), None
        try:
            wanted = _quantities(delivery.payload["lines"])
        except (ValueError, KeyError, TypeError) as fault:
            return _refused(delivery, f"the lines of this parcel of {order['name']} cannot be read: {fault}"), None
        linked = [one for one in _standing(order) if _number(one["id"]) == delivery.remote_id]
        if linked and number and number not in _numbers(linked[0]):
            wish = {"id": linked[0]["id"], "tracking": _tracking(delivery)}
            done = self.api.write("UpdateTracking", wish)["fulfillmentTrackingInfoUpdate"]
            return _parcel_written(delivery, order, done), done and done["fulfillment"]
        known = [one for one in _standing(order) if number and number in _numbers(one)] or linked
        shipped = _pieces(known)
        missing = {sku: n - shipped.get(sku, 0) for sku, n in wanted.items() if n > shipped.get(sku, 0)}
        if known and not missing:
            return _parcel_applied(delivery, known[-1]), known[-1]
        if order["cancelledAt"]:
            return _refused(delivery, f"{order['name']} is cancelled in the shop, and cannot be shipped there"), None
        groups, short = _allot(order, missing)
        if short:
            return _refused(delivery, f"{order['name']}: {' and '.join(short)}"), None
        outcome = _refused(delivery, f"{order['name']}: there is nothing to ship")
        parcel = None
        for lines in groups:  # one for each location that ships; mostly one
            wish = {"lineItemsByFulfillmentOrder": lines, "notifyCustomer": True, "trackingInfo": _tracking(delivery)}
            done = self.api.write("CreateFulfillment", {"fulfillment": wish})["fulfillmentCreate"]
            outcome, parcel = _parcel_written(delivery, order, done), done and done["fulfillment"]
            if outcome.result is not Result.APPLIED:
                break
        return outcome, parcel

    def _find_parcel(self, delivery: Delivery) -> Outcome:
        number = _tracking_number(delivery)
        if not number:
            told = "a parcel without a tracking number cannot be looked up; see the order's timeline in the shop"
            return Outcome(delivery.delivery_id, Result.UNKNOWN, reason=told)
        order, problem = self._order_of(delivery)
        if order is None:
            return Outcome(delivery.delivery_id, Result.RETRY, reason=problem)
        known = [one for one in _standing(order) if number in _numbers(one)]
        shipped = _pieces(known)
        try:
            wanted = _quantities(delivery.payload["lines"])
        except (ValueError, KeyError, TypeError):
            wanted = {}
        event = EVENTS.get(str(delivery.payload.get("status")))
        is_told = event is None or any(one["displayStatus"] == event for one in known)
        if known and is_told and all(shipped.get(sku, 0) >= pieces for sku, pieces in wanted.items()):
            return _parcel_applied(delivery, known[-1])
        told = f"{order['name']} has no complete fulfilment with tracking number {number}"
        return Outcome(delivery.delivery_id, Result.RETRY, reason=told)

    def _order_of(self, delivery: Delivery) -> tuple[dict[str, Any] | None, str]:
        """The order with what of it has left and what may; without one, why."""
        remote_id = _number(str(delivery.payload.get("order_remote_id") or ""))
        name = delivery.payload.get("order_number")
        if not remote_id:
            return None, f"order {name} is not linked to an order of the shop, so its parcel has no place there"
        order = self.api.ask("ToFulfil", {"id": f"gid://shopify/Order/{remote_id}"}).data["order"]
        return order, f"order {name} is not in the shop (id {remote_id})"

    # --- sellable stock

    def _set_all(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Batches of at most 100, in which no SKU stands twice; the later word about a SKU goes later."""
        outcomes = []
        left = list(deliveries)
        while left:
            batch: dict[str, Delivery] = {}
            for one in left:
                if len(batch) < QUANTITIES_AT_ONCE:
                    batch.setdefault(str(one.payload.get("sku")), one)
            now = list(batch.values())
            left = [one for one in left if one not in now]
            outcomes += _guarded(partial(one_by_one_where_needed, now, self._set), now)
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
            held = self._stock(open_ones, location)
            wishes: list[tuple[Delivery, Stocked, int]] = []
            for one in open_ones:
                wish = _wish(one, held)
                if isinstance(wish, str):
                    outcomes[one.delivery_id] = _refused(one, wish)
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
                    outcomes[one.delivery_id] = _refused(one, told)
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

    def _find_quantities(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        def look() -> list[Outcome]:
            location = self._own_location()
            held = self._stock(deliveries, location)
            outcomes = []
            for one in deliveries:
                wish = _wish(one, held)
                if not isinstance(wish, str) and wish[0].quantity == wish[1]:
                    outcomes.append(_quantity_applied(one, wish[0], location))
                else:
                    reason = wish if isinstance(wish, str) else f"the shop holds {wish[0].quantity}, not {wish[1]}"
                    outcomes.append(Outcome(one.delivery_id, Result.RETRY, reason=reason))
            return outcomes

        return _guarded(look, deliveries, Result.UNKNOWN)

    def _places_told(self) -> list[dict[str, str]]:
        """Where levels are told of: at the location that is written, else everywhere. Raises Unreachable."""
        wanted = f"gid://shopify/Location/{_number(self.location_id)}"
        places = [place for place in self._locations() if not self.location_id or place["id"] == wanted]
        if not places:
            raise Unreachable(f"the shop has no location {self.location_id}; correct the setting location_id")
        return places

    def _own_location(self) -> str:
        """The location at which sellable stock is written. Raises Refused when that is not clear."""
        places = [place["id"] for place in self._locations()]
        if self.location_id:
            wanted = f"gid://shopify/Location/{_number(self.location_id)}"
            if wanted not in places:
                raise Refused(f"the shop has no location {self.location_id}; correct the setting location_id")
            return wanted
        if len(places) != 1:
            raise Refused(f"the shop has {len(places)} locations; name the one to write in the setting location_id")
        return places[0]

    def _stock(self, deliveries: Sequence[Delivery], location: str) -> dict[str, list[Stocked]]:
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


def _guarded(
    do: Callable[[], Outcome | Sequence[Outcome]], deliveries: Sequence[Delivery], when_silent: Result = Result.RETRY
) -> list[Outcome]:
    """Do it, and turn what Shopify's API raises into an outcome for each of these deliveries."""
    wait = None
    try:
        done = do()
        return [done] if isinstance(done, Outcome) else list(done)
    except Unreachable as problem:
        result, told, wait = when_silent, str(problem), problem.retry_after
    except NoAnswer as problem:
        result, told = Result.UNKNOWN, str(problem)
    except Refused as problem:
        result, told = Result.REFUSED if when_silent is Result.RETRY else when_silent, str(problem)
    return [Outcome(one.delivery_id, result, reason=told, retry_after=wait) for one in deliveries]


def _refused(delivery: Delivery, reason: str) -> Outcome:
    return Outcome(delivery.delivery_id, Result.REFUSED, reason=reason)


def _message(stream: str, row: dict[str, Any]) -> Message:
    payload = dump_payload(row)
    remote_id = row["id"] if stream in ("inventory", "price_lists") else _number(row["id"])
    return Message(stream=stream, payload=payload, body=payload.encode(), remote_id=remote_id, is_versioned=True)


def _known(cursor: str | None) -> dict[str, Any]:
    """What a cursor tells: the time up to which all is known, the newest records and whether they may still move."""
    return {"since": None, "seen": {}, "is_fresh": True} | (json.loads(cursor) if cursor else {})


def _search(since: str) -> str:
    """A time without quotes is cut to its day by Shopify's search."""
    return f"updated_at:>='{_zulu(_moment(since) - OVERLAP)}'"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _zulu(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(identifier: str) -> str:
    """The number of a global id, or of a plain one; empty where there is none."""
    found = re.fullmatch(r"(?:gid://shopify/\w+/)?(\d+)(?:\?.*)?", identifier)
    return found[1] if found else ""


def _quoted(sku: str) -> str:
    return '"' + sku.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _whole(text: Any) -> int:
    """A quantity, which must be whole. Raises ValueError."""
    try:
        number = Decimal(str(text))
    except InvalidOperation as problem:
        raise ValueError(f"{text!r} is no number") from problem
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(f"{text} is no whole number of pieces")
    return int(number)


def _quantity_name(delivery: Delivery) -> str:
    return str(delivery.payload.get("quantity_name") or "available")


def _quantities(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Pieces by SKU. Raises ValueError or KeyError."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line["sku"]] = wanted.get(line["sku"], 0) + _whole(line["quantity"])
    if not wanted or min(wanted.values()) <= 0:
        raise ValueError("a parcel holds at least one piece of each of its SKUs")
    return wanted


def _tracking_number(delivery: Delivery) -> str:
    return str(delivery.payload.get("tracking_number") or "").strip()


def _tracking(delivery: Delivery) -> dict[str, str]:
    told = {"number": _tracking_number(delivery), "company": delivery.payload.get("carrier")}
    return {name: value for name, value in told.items() if value}


def _standing(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The order's fulfilments that hold."""
    return [one for one in order["fulfillments"] if one["status"] not in ("CANCELLED", "ERROR", "FAILURE")]


def _numbers(parcel: Mapping[str, Any]) -> list[str]:
    return [info["number"] for info in parcel["trackingInfo"]]


def _pieces(parcels: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many of each SKU are in these fulfilments."""
    pieces: dict[str, int] = {}
    for line in (line for parcel in parcels for line in parcel["fulfillmentLineItems"]["nodes"]):
        sku = line["lineItem"]["sku"]
        pieces[sku] = pieces.get(sku, 0) + int(line["quantity"])
    return pieces


def _allot(order: Mapping[str, Any], wanted: Mapping[str, int]) -> tuple[list[list[dict[str, Any]]], list[str]]:
    """Lines of open fulfilment orders for these pieces, one group for each location, and what is short, in words."""
    by_location: dict[str, dict[str, list[dict[str, Any]]]] = {}
    short = []
    for sku, pieces in wanted.items():
        left = pieces
        for part in order["fulfillmentOrders"]["nodes"]:
            for line in part["lineItems"]["nodes"] if part["status"] in OPEN else ():
                take = min(left, int(line["remainingQuantity"])) if line["sku"] == sku else 0
                if take > 0:
                    location = (part["assignedLocation"]["location"] or {}).get("id", "")
                    lines = by_location.setdefault(location, {}).setdefault(part["id"], [])
                    lines.append({"id": line["id"], "quantity": take})
                    left -= take
        if left:
            short.append(f"{pieces} of {sku} left the house and the shop has only {pieces - left} of it to ship")
    groups = [
        [{"fulfillmentOrderId": part, "fulfillmentOrderLineItems": lines} for part, lines in parts.items()]
        for parts in by_location.values()
    ]
    return groups, short


def _parcel_written(delivery: Delivery, order: Mapping[str, Any], done: Mapping[str, Any] | None) -> Outcome:
    """What became of a mutation about a parcel: a GraphQL success with userErrors is a failure."""
    if done is None or done["userErrors"]:
        said = "; ".join(error["message"] for error in (done or {}).get("userErrors", ()))
        return _refused(delivery, f"{order['name']}: Shopify refuses the fulfilment: {said or 'it says not why'}")
    return _parcel_applied(delivery, done["fulfillment"])


def _parcel_applied(delivery: Delivery, parcel: Mapping[str, Any]) -> Outcome:
    info: dict[str, Any] = next(iter(parcel["trackingInfo"]), {})
    return Outcome(
        delivery.delivery_id,
        Result.APPLIED,
        remote_id=_number(parcel["id"]),
        held={"tracking_number": info.get("number"), "carrier": info.get("company")},
    )


def _wish(delivery: Delivery, held: Mapping[str, Sequence[Stocked]]) -> tuple[Stocked, int] | str:
    """The item that this delivery means and the quantity it shall have; a sentence when that cannot be."""
    sku = str(delivery.payload.get("sku") or "")
    items = list(held.get(sku, ()))
    linked = (delivery.remote_id or "").split("@")[0]
    if len(items) > 1:
        items = [item for item in items if _number(item.item) == linked] or items
    if not items:
        return f"the shop has no SKU {sku!r}"
    if len(items) > 1:
        return f"{len(items)} inventory items of the shop have the SKU {sku!r}; it must be unique there"
    if not items[0].is_tracked:
        return f"the shop does not track the stock of {sku}; switch tracking on, or leave it out of the flow"
    if items[0].quantity is None:
        return f"{sku} is not stocked at the location that we write; stock it there in the shop"
    try:
        return items[0], _whole(delivery.payload.get("sellable"))
    except ValueError as problem:
        return f"the sellable quantity of {sku} cannot be written: {problem}"


def _quantity_applied(delivery: Delivery, stocked: Stocked, location: str) -> Outcome:
    return Outcome(
        delivery.delivery_id,
        Result.APPLIED,
        remote_id=f"{_number(stocked.item)}@{_number(location)}",
        held={"sellable": str(_whole(delivery.payload.get("sellable")))},
    )

"""Shopify: signed webhooks in, polls and snapshots through the Admin API, parcels and sellable stock out."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, NamedTuple

from pydantic import PrivateAttr

from resources.connectors.connector import (
    BadMessage,
    BadSignature,
    Connector,
    Delivery,
    Message,
    Outcome,
    Page,
    Result,
)
from resources.connectors.shopify import customers, refunds
from resources.connectors.shopify.access import Access, Given, granted
from resources.connectors.shopify.addresses import with_billing
from resources.connectors.shopify.admin_api import AdminApi, guarded, number_of
from resources.connectors.shopify.fulfilments import Parcels
from resources.connectors.shopify.inventory import Stock
from resources.connectors.shopify.prices import Prices
from resources.connectors.shopify.returns import refunds_of, returns_of
from resources.host.text import as_payload, dump_payload

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
TAKEN = {  # entity: actions
    "fulfilments": ("upsert",), "refunds": ("upsert",), "consents": ("upsert",), "customers": ("upsert", "delete"),
    "sellable": ("upsert",), "selling_prices": ("upsert", "delete"),
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


class Shopify(Connector):
    """One shop. `webhook_secrets` are separated by commas, two while one rotates.

    Its app shows `client_id` and `client_secret`, or without them the `token` of an app that was made before 2026.
    Stock is written at `location_id`; without it, at the shop's only location.
    """

    base_url: str  # https://<shop>.myshopify.com
    shop: str  # <shop>.myshopify.com, as its webhooks name it
    client_id: str = ""
    client_secret: str = ""
    token: str = ""
    webhook_secrets: str
    location_id: str = ""

    one_of: ClassVar = (("client_id", "client_secret"), ("token",))

    _api: AdminApi | None = PrivateAttr(None)
    _at: Stock | None = PrivateAttr(None)

    @property
    def api(self) -> AdminApi:
        if self._api is None:
            self._api = AdminApi(self.base_url, self._access)
        return self._api

    @property
    def _access(self) -> Access:
        if self.client_id and self.client_secret:
            return granted(self.base_url, self.client_id, self.client_secret)
        return Given(self.token)

    @property
    def _stock(self) -> Stock:
        if self._at is None:
            self._at = Stock(self.api, self.location_id)
        return self._at

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
        places: list[dict[str, str] | None] = [*self._stock.places_told()] if stream == "inventory" else [None]
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
            "id": f"{number_of(item['id'])}@{number_of(place['id'])}",
            "inventoryItemId": number_of(item["id"]),
            "sku": item["sku"],
            "tracked": item["tracked"],
            "locationId": number_of(place["id"]),
            "locationName": place["name"],
            **{name: quantities.get(name) for name in ("available", "on_hand", "committed", "reserved")},
            "updatedAt": node["updatedAt"],
        }

    # --- deliveries

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return self._carry(
            deliveries,
            singly={
                "fulfilments": Parcels(self.api).write,
                "refunds": partial(refunds.record, self.api),
                "customers": partial(customers.write, self.api),
                "consents": partial(customers.write, self.api),
            },
            together={"sellable": self._stock.write, "selling_prices": Prices(self.api).write},
            when_silent=Result.RETRY,
        )

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return self._carry(
            deliveries,
            singly={
                "fulfilments": Parcels(self.api).find,
                "refunds": partial(refunds.find, self.api),
                "customers": customers.find,
                "consents": customers.find,
            },
            together={"sellable": self._stock.find, "selling_prices": Prices(self.api).find},
            when_silent=Result.UNKNOWN,
        )

    def _carry(
        self,
        deliveries: Sequence[Delivery],
        *,
        singly: Mapping[str, Callable[[Delivery], Outcome]],
        together: Mapping[str, Callable[[Sequence[Delivery]], list[Outcome]]],
        when_silent: Result,
    ) -> list[Outcome]:
        """Each by what its entity needs: Shopify takes no batch of some; an outcome for every delivery."""
        outcomes = []
        batches: dict[str, list[Delivery]] = {}
        for one in deliveries:
            if one.action not in TAKEN.get(one.entity, ()):
                told = f"Shopify takes no {one.action} of {one.entity}; do it there by hand"
                outcomes.append(Outcome.refused(one, told))
            elif one.entity in singly:
                outcomes += guarded(partial(singly[one.entity], one), [one], when_silent)
            else:
                batches.setdefault(one.entity, []).append(one)
        for entity, batch in batches.items():
            outcomes += guarded(partial(together[entity], batch), batch, when_silent)
        return outcomes


def _message(stream: str, row: dict[str, Any]) -> Message:
    payload = dump_payload(row)
    remote_id = row["id"] if stream in ("inventory", "price_lists") else number_of(row["id"])
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

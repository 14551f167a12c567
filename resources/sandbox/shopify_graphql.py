"""The Admin API of the sandbox shop: resolvers, pages, filters, compare-and-set, and what a request costs."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    execute_sync,
    get_directive_values,
    parse,
    validate,
)

from resources.sandbox.shopify_book import AddressBook
from resources.sandbox.shopify_ids import gid, number_of
from resources.sandbox.shopify_orders import LOCATION_ID, LOCATION_NAME, graphql_customer
from resources.sandbox.shopify_pages import connection, mapped, matches, orders_where, place, size
from resources.sandbox.shopify_prices import PriceBook
from resources.sandbox.shopify_refunds import refund_by_app
from resources.sandbox.shopify_schema import Schema, query_cost
from resources.sandbox.shopify_shop import NotPossible, Shop

BUCKET, RESTORED = 2000.0, 100.0  # points, and points a second: a standard plan
DEAREST = 1000  # points that a single request may cost
BILLION = 1_000_000_000
REASONS = (  # why a quantity may be set
    *("correction", "cycle_count_available", "damaged", "movement_canceled", "movement_created", "movement_received"),
    *("movement_updated", "other", "promotion", "quality_control", "received", "reservation_created"),
    *("reservation_deleted", "reservation_updated", "restock", "safety_stock", "shrinkage"),
)


def zulu(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class AdminApi:
    """Answers requests as the Admin API does."""

    def __init__(self, shop: Shop, schema: Schema) -> None:
        self.shop, self.schema = shop, schema
        self.points, self.counted_at = BUCKET, time.monotonic()
        self.prices = PriceBook(shop, self._page, self._variant)
        self.book = AddressBook(shop.customers)
        self.root = {
            "shop": self._shop,
            "order": self._order,
            "orders": self._orders,
            "productVariants": self._variants,
            "inventoryItem": self._item,
            "inventoryItems": self._items,
            "location": self._location,
            "locations": lambda info, **page: self._page([self._here()], page, lambda row: LOCATION_ID),
            "nodes": lambda info, ids: [self._node(one) for one in ids],
            "node": lambda info, id: self._node(id),
            "inventorySetQuantities": self._set_quantities,
            "fulfillmentCreate": self._create_fulfilment,
            "fulfillmentTrackingInfoUpdate": self._update_tracking,
            "fulfillmentEventCreate": self._tell_of_parcel,
            **self.prices.root,
            "customer": lambda info, id: self._person(self.shop.customers.body(number_of(id, "Customer") or 0)),
            "customers": self._customers,
            **self.book.root,
            "customerEmailMarketingConsentUpdate": lambda info, input: self._consent(input, "email"),
            "customerSmsMarketingConsentUpdate": lambda info, input: self._consent(input, "sms"),
            "metafieldsSet": self._set_metafields,
            "refundCreate": self._create_refund,
            "metafieldsDelete": self._delete_metafields,
        }

    def answer(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's body. Nothing is executed that is not valid or that the bucket cannot pay."""
        try:
            document, problems = self._read(query)
        except GraphQLError as problem:
            return {"errors": [problem.formatted]}
        if problems:
            return {"errors": problems}
        cost = query_cost(self.schema.graphql, document, variables)
        if cost > DEAREST:
            message = f"Query cost is {cost}, which exceeds the single query max cost limit ({DEAREST})."
            return {"errors": [{"message": message, "extensions": {"code": "MAX_COST_EXCEEDED", "cost": cost}}]}
        if not self._pay(cost):
            return self.throttled(cost)
        with self.shop.lock:  # nothing moves while an answer is put together
            result = execute_sync(self.schema.graphql, document, self.root, variable_values=dict(variables))
        actual = query_cost(self.schema.graphql, document, variables, result.data or {})
        self._pay(actual - cost)  # what was not needed is given back
        body: dict[str, Any] = {"data": result.data, "extensions": self._cost(cost, actual)}
        if result.errors:
            body["errors"] = [problem.formatted for problem in result.errors]
        return body

    @lru_cache(maxsize=200)  # noqa: B019 one for the life of the process
    def _read(self, query: str) -> tuple[DocumentNode, list[Any]]:
        document = parse(query)
        return document, [problem.formatted for problem in validate(self.schema.graphql, document)]

    # --- cost

    def _pay(self, cost: float) -> bool:
        with self.shop.lock:
            now = time.monotonic()
            self.points = min(BUCKET, self.points + (now - self.counted_at) * RESTORED)
            self.counted_at = now
            if cost > self.points:
                return False
            self.points -= cost
            return True

    def drain(self) -> None:
        """Leave nothing in the bucket."""
        self._pay(0)
        self.points = 0.0

    def refill(self) -> None:
        self.points = BUCKET

    def throttled(self, cost: int) -> dict[str, Any]:
        error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        return {"errors": [error], "extensions": self._cost(cost, None)}

    def _cost(self, requested: int, actual: int | None) -> dict[str, Any]:
        status = {"maximumAvailable": BUCKET, "currentlyAvailable": int(self.points), "restoreRate": RESTORED}
        return {"cost": {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": status}}

    # --- pages and filters

    def _page(self, rows: Sequence[Any], page: Mapping[str, Any], key: Callable[[Any], int]) -> dict[str, Any]:
        """One page of rows that stand in the order of their keys."""
        first = size(page)
        if page.get("reverse"):
            rows = list(reversed(rows))
        if page.get("after"):
            last = place(page["after"])[1]
            rows = [row for row in rows if (key(row) < last if page.get("reverse") else key(row) > last)]
        return connection([((0, key(row)), row) for row in rows[: first + 1]], first)

    def _whole(self, rows: Sequence[Any]) -> Callable[..., dict[str, Any]]:
        """A connection inside an object: its rows by position."""
        numbered = list(enumerate(rows, 1))

        def resolve(info: GraphQLResolveInfo, **page: Any) -> dict[str, Any]:
            found = self._page(numbered, page, lambda pair: pair[0])
            found["nodes"] = [row for _, row in found["nodes"]]
            found["edges"] = [{**edge, "node": edge["node"][1]} for edge in found["edges"]]
            return found

        return resolve

    # --- what can be read

    def _shop(self, info: GraphQLResolveInfo) -> dict[str, Any]:
        shop = {"id": gid("Shop", 1), "name": "Concord Sandbox", "currencyCode": "EUR", "taxesIncluded": False}
        return {**shop, "ianaTimezone": "Europe/Berlin"}

    def _here(self) -> dict[str, Any]:
        return {
            "__typename": "Location",
            "id": gid("Location", LOCATION_ID),
            "legacyResourceId": str(LOCATION_ID),
            "name": LOCATION_NAME,
            "isActive": True,
            "fulfillsOnlineOrders": True,
            "inventoryLevels": self._levels,
        }

    def _location(self, info: GraphQLResolveInfo, id: str | None = None) -> dict[str, Any] | None:
        return self._here() if id in (None, gid("Location", LOCATION_ID)) else None

    def _order(self, info: GraphQLResolveInfo, id: str) -> dict[str, Any] | None:
        number = number_of(id, "Order")
        found = None if number is None else self.shop.answer_for(number)
        return None if found is None else self._with_pages(found)

    def _with_pages(self, order: dict[str, Any]) -> dict[str, Any]:
        parts = [{**part, "lineItems": self._whole(part["lineItems"])} for part in order["fulfillmentOrders"]]
        parcels = [
            {
                **parcel,
                "trackingInfo": _listed(parcel["trackingInfo"]),
                "fulfillmentLineItems": self._whole(parcel["fulfillmentLineItems"]),
            }
            for parcel in order["fulfillments"]
        ]
        refunds = [self._paged(one, "transactions", "refundLineItems", "orderAdjustments") for one in order["refunds"]]
        returns = [self._paged(one, "returnLineItems", "exchangeLineItems") for one in order["returns"]]
        lines = [{**line, "taxLines": _listed(line["taxLines"])} for line in order["lineItems"]]
        return {
            **order,
            "lineItems": self._whole(lines),
            "fulfillmentOrders": self._whole(parts),
            "fulfillments": _listed(parcels),
            "refunds": _listed(refunds),
            "returns": self._whole(returns),
        }

    def _paged(self, record: dict[str, Any], *lists: str) -> dict[str, Any]:
        return {**record, **{name: self._whole(record[name]) for name in lists}}

    def _orders(
        self, info: GraphQLResolveInfo, query: str | None = None, sortKey: str = "PROCESSED_AT", **page: Any
    ) -> dict[str, Any]:
        columns = {
            "ID": "order_id",
            "CREATED_AT": "created_at",
            "PROCESSED_AT": "created_at",
            "UPDATED_AT": "updated_at",
        }
        if sortKey not in columns:
            raise GraphQLError(f"the sandbox shop does not sort orders by {sortKey}")
        where, values = orders_where(query)
        first = size(page)
        rows = self.shop.answers(
            sort=columns[sortKey],
            after=place(page["after"]) if page.get("after") else None,
            limit=first + 1,
            where=where,
            values=values,
            reverse=page.get("reverse", False),
        )
        return connection([(place, self._with_pages(order)) for place, order in rows], first)

    def _variants(
        self, info: GraphQLResolveInfo, query: str | None = None, sortKey: str = "ID", **page: Any
    ) -> dict[str, Any]:
        if sortKey != "ID":
            raise GraphQLError(f"the sandbox shop does not sort variants by {sortKey}")
        rows = [row for row in self.shop.stock() if matches(row, query, {"updated_at": "moved_at", "id": "variant_id"})]
        return mapped(self._page(rows, page, lambda row: row["variant_id"]), self._variant)

    def _items(self, info: GraphQLResolveInfo, query: str | None = None, **page: Any) -> dict[str, Any]:
        names = {"updated_at": "updated_at", "id": "inventory_item_id"}
        rows = [row for row in self.shop.stock() if matches(row, query, names)]
        return mapped(self._page(rows, page, lambda row: row["inventory_item_id"]), self._inventory_item)

    def _levels(self, info: GraphQLResolveInfo, query: str | None = None, **page: Any) -> dict[str, Any]:
        names = {"updated_at": "moved_at", "id": "inventory_item_id", "inventory_item_id": "inventory_item_id"}
        rows = [row for row in self.shop.stock() if matches(row, query, names)]
        return mapped(self._page(rows, page, lambda row: row["inventory_item_id"]), self._level)

    def _item(self, info: GraphQLResolveInfo, id: str) -> dict[str, Any] | None:
        row = self.shop.level(number_of(id, "InventoryItem") or 0)
        return None if row is None else self._inventory_item(row)

    def _node(self, identifier: str) -> dict[str, Any] | None:
        item, order = number_of(identifier, "InventoryItem"), number_of(identifier, "Order")
        if order is not None:
            found = self.shop.answer_for(order)
            return None if found is None else self._with_pages(found)
        row = self.shop.level(item) if item is not None else None
        return None if row is None else self._inventory_item(row)

    def _variant(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "__typename": "ProductVariant",
            "id": gid("ProductVariant", row["variant_id"]),
            "legacyResourceId": str(row["variant_id"]),
            "sku": row["sku"],
            "title": "Default Title",
            "displayName": f"{row['title']} - Default Title",
            "price": row["price"],
            "createdAt": zulu(row["updated_at"]),
            "updatedAt": zulu(row["moved_at"]),
            "inventoryQuantity": row["available"],
            "inventoryItem": lambda info: self._inventory_item(row),
            "product": {"id": gid("Product", row["product_id"]), "title": row["title"]},
        }

    def _inventory_item(self, row: Mapping[str, Any]) -> dict[str, Any]:
        same = [one for one in self.shop.stock() if one["sku"] == row["sku"]]
        return {
            "__typename": "InventoryItem",
            "id": gid("InventoryItem", row["inventory_item_id"]),
            "legacyResourceId": str(row["inventory_item_id"]),
            "sku": row["sku"],
            "tracked": bool(row["is_tracked"]),
            "requiresShipping": True,
            "duplicateSkuCount": len(same) - 1,
            "createdAt": zulu(row["updated_at"]),
            "updatedAt": zulu(row["updated_at"]),
            "inventoryLevel": lambda info, locationId, **_: (
                self._level(row) if number_of(locationId, "Location") == LOCATION_ID else None
            ),
            "inventoryLevels": lambda info, **page: self._page([self._level(row)], page, lambda one: 1),
        }

    def _level(self, row: Mapping[str, Any]) -> dict[str, Any]:
        moved = zulu(row["moved_at"])
        names = ("available", "committed", "on_hand", "reserved")

        def quantities(info: GraphQLResolveInfo, names_: Sequence[str]) -> list[dict[str, Any]]:
            unknown = [name for name in names_ if name not in names]
            if unknown:
                raise GraphQLError(f"the sandbox shop keeps no quantity named {unknown[0]}")
            return [
                {
                    "id": f"gid://shopify/InventoryQuantity/{row['inventory_item_id']}?name={name}",
                    "name": name,
                    "quantity": 0 if name == "reserved" else row[name],  # its baskets hold nothing
                    "updatedAt": None if name == "on_hand" else moved,
                }
                for name in names_
            ]

        return {
            "__typename": "InventoryLevel",
            "id": f"gid://shopify/InventoryLevel/{LOCATION_ID}?inventory_item_id={row['inventory_item_id']}",
            "isActive": True,
            "createdAt": moved,
            "updatedAt": moved,
            "item": lambda info: self._inventory_item(row),
            "location": self._here(),
            "quantities": lambda info, names: quantities(info, names),
        }

    # --- what can be written

    def _set_quantities(self, info: GraphQLResolveInfo, input: Mapping[str, Any]) -> dict[str, Any]:
        if any("changeFromQuantity" not in one for one in input["quantities"]):
            message = "InventoryQuantityInput must include the following argument: changeFromQuantity."
            raise GraphQLError(message, extensions={"code": "INVALID_FIELD_ARGUMENTS"})

        def set_them() -> dict[str, Any]:
            problems = self._why_not(input)
            return _refused(*problems) if problems else self._set(input)

        return self._once(info, input, set_them, lambda code, message: _refused((code, None, message)))

    def _once(
        self,
        info: GraphQLResolveInfo,
        input: Mapping[str, Any],
        do: Callable[[], dict[str, Any]],
        refuse: Callable[[str, str], dict[str, Any]],
    ) -> dict[str, Any]:
        """Do what a mutation asks for once for each key of its directive; what it answers is kept with the key."""
        directive = self.schema.graphql.get_directive("idempotent")
        assert directive is not None
        given = get_directive_values(directive, info.field_nodes[0], info.variable_values)
        key = (given or {}).get("key", "").strip()
        if not key:
            message = "The @idempotent directive is required for this mutation but was not provided."
            raise GraphQLError(message, extensions={"code": "BAD_REQUEST"})
        request = json.dumps(input, sort_keys=True, default=str)
        with self.shop.transaction() as database:
            known = self.shop.rows("select request, answer from idempotency where key = ?", key)
            if known and known[0]["request"] != request:
                message = "The same idempotency key cannot be used with different operation parameters."
                return refuse("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", message)
            if known and known[0]["answer"] is None:
                message = "A previous request with this idempotency key failed. Retry with a new idempotency key."
                return refuse("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", message)
            if known:
                answer: dict[str, Any] = json.loads(known[0]["answer"])
                return answer
            answer = do()
            kept = None if answer["userErrors"] else json.dumps(answer)
            database.execute("insert into idempotency values (?, ?, ?)", (key, request, kept))
        return answer

    def _create_refund(self, info: GraphQLResolveInfo, input: Mapping[str, Any]) -> dict[str, Any]:
        def refuse(_: str, message: str) -> dict[str, Any]:
            return {"refund": None, "userErrors": [{"field": None, "message": message}]}

        done = self._once(info, input, lambda: refund_by_app(self.shop, input), refuse)
        order = self._order(info, input["orderId"])
        made: list[dict[str, Any]] = order["refunds"](info) if order and done["refund"] else []
        return {**done, "refund": next((one for one in made if one["id"] == done["refund"]), None), "order": order}

    def _why_not(self, input: Mapping[str, Any]) -> list[tuple[str, list[str] | None, str]]:
        """What stands against setting these quantities: code, field and message of each."""
        if input["name"] not in ("available", "on_hand"):
            message = "The quantity name must be either 'available' or 'on_hand'."
            return [("INVALID_NAME", ["input", "name"], message)]
        if input["reason"] not in REASONS:
            message = f"The specified reason is invalid. Valid values are: {', '.join(REASONS)}."
            return [("INVALID_REASON", ["input", "reason"], message)]
        problems: list[tuple[str, list[str] | None, str]] = []
        seen = set()
        for index, wish in enumerate(input["quantities"]):
            row = self.shop.level(number_of(wish["inventoryItemId"], "InventoryItem") or 0)
            field = ["input", "quantities", str(index)]
            if row is None:
                message = "The specified inventory item could not be found."
                problems.append(("INVALID_INVENTORY_ITEM", [*field, "inventoryItemId"], message))
            elif number_of(wish["locationId"], "Location") != LOCATION_ID:
                problems.append(
                    ("INVALID_LOCATION", [*field, "locationId"], "The specified location could not be found.")
                )
            elif wish["inventoryItemId"] in seen:
                message = "The combination of inventoryItemId and locationId must be unique."
                problems.append(("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", field, message))
            elif wish["quantity"] > BILLION:
                message = "The quantity can't be higher than 1,000,000,000."
                problems.append(("INVALID_QUANTITY_TOO_HIGH", [*field, "quantity"], message))
            elif input["name"] == "on_hand" and wish["quantity"] < 0:
                problems.append(("INVALID_QUANTITY_NEGATIVE", [*field, "quantity"], "The quantity can't be negative."))
            elif not row["is_tracked"]:
                message = "The specified inventory item is not allowed to be adjusted via API."
                problems.append(("NON_MUTABLE_INVENTORY_ITEM", [*field, "inventoryItemId"], message))
            elif wish["changeFromQuantity"] not in (None, row[input["name"]]):
                message = "The changeFromQuantity value does not match persisted value."
                problems.append(("CHANGE_FROM_QUANTITY_STALE", [*field, "changeFromQuantity"], message))
            seen.add(wish["inventoryItemId"])
        return problems

    def _set(self, input: Mapping[str, Any]) -> dict[str, Any]:
        changes = []
        for wish in input["quantities"]:
            item = number_of(wish["inventoryItemId"], "InventoryItem") or 0
            row = self.shop.level(item)
            assert row is not None
            delta = wish["quantity"] - row[input["name"]]
            self.shop.move_stock(item, available=delta)
            if delta:
                for name in ("available", "on_hand"):
                    changes.append(
                        {
                            "name": name,
                            "delta": delta,
                            "quantityAfterChange": None,
                            "item": {"id": wish["inventoryItemId"], "sku": row["sku"]},
                            "location": {"id": wish["locationId"], "name": LOCATION_NAME},
                        }
                    )
        group = {
            "id": gid("InventoryAdjustmentGroup", time.time_ns() // 1000),
            "createdAt": zulu(time.time()),
            "reason": input["reason"],
            "referenceDocumentUri": input.get("referenceDocumentUri"),
            "changes": changes,
        }
        return {"inventoryAdjustmentGroup": group if changes else None, "userErrors": []}

    def _create_fulfilment(
        self, info: GraphQLResolveInfo, fulfillment: Mapping[str, Any], message: str | None = None
    ) -> dict[str, Any]:
        tracking = fulfillment.get("trackingInfo") or {}
        wanted: dict[int, Mapping[int, int] | None] = {}
        for part in fulfillment["lineItemsByFulfillmentOrder"]:
            lines = part.get("fulfillmentOrderLineItems")
            wanted[number_of(part["fulfillmentOrderId"], "FulfillmentOrder") or 0] = (
                {number_of(line["id"], "FulfillmentOrderLineItem") or 0: line["quantity"] for line in lines}
                if lines
                else None
            )
        try:
            parcel = self.shop.fulfil(
                wanted,
                number=tracking.get("number") or next(iter(tracking.get("numbers") or ()), None),
                company=tracking.get("company"),
                url=tracking.get("url"),
            )
        except NotPossible as reason:
            return {"fulfillment": None, "userErrors": [{"field": ["fulfillment"], "message": str(reason)}]}
        return {"fulfillment": self._parcel(info, parcel), "userErrors": []}

    def _update_tracking(
        self, info: GraphQLResolveInfo, fulfillmentId: str, trackingInfoInput: Mapping[str, Any], **_: Any
    ) -> dict[str, Any]:
        try:
            parcel = self.shop.retrack(
                number_of(fulfillmentId, "Fulfillment") or 0,
                number=trackingInfoInput.get("number"),
                company=trackingInfoInput.get("company"),
                url=trackingInfoInput.get("url"),
            )
        except NotPossible as reason:
            return {"fulfillment": None, "userErrors": [{"field": ["fulfillmentId"], "message": str(reason)}]}
        return {"fulfillment": self._parcel(info, parcel), "userErrors": []}

    def _tell_of_parcel(self, info: GraphQLResolveInfo, fulfillmentEvent: Mapping[str, Any]) -> dict[str, Any]:
        try:
            event = self.shop.note_event(
                number_of(fulfillmentEvent["fulfillmentId"], "Fulfillment") or 0, fulfillmentEvent["status"]
            )
        except NotPossible as reason:
            return {"fulfillmentEvent": None, "userErrors": [{"field": ["fulfillmentEvent"], "message": str(reason)}]}
        return {"fulfillmentEvent": event, "userErrors": []}

    def _customers(
        self, info: GraphQLResolveInfo, query: str | None = None, sortKey: str = "ID", **page: Any
    ) -> dict[str, Any]:
        if sortKey != "ID":
            raise GraphQLError(f"the sandbox shop does not sort customers by {sortKey}")
        rows = [row for row in self.shop.customers.rows() if matches(row, query, {"updated_at": "updated_at"})]
        found = self._page(rows, page, lambda row: row["customer_id"])
        return mapped(found, lambda row: self._person(json.loads(row["body"])))

    def _person(self, customer: dict[str, Any] | None) -> dict[str, Any] | None:
        return customer and {**graphql_customer(customer), **self.book.resolved(customer)}

    def _consent(self, input: Mapping[str, Any], channel: str) -> dict[str, Any]:
        told = input[f"{channel}MarketingConsent"]
        number = number_of(input["customerId"], "Customer") or 0
        try:
            self.shop.customers.consent(
                number,
                channel,
                state=told["marketingState"],
                at=told.get("consentUpdatedAt"),
                level=told.get("marketingOptInLevel"),
            )
        except KeyError:
            return {"customer": None, "userErrors": [{"field": ["customerId"], "message": "Customer not found"}]}
        customer = self.shop.customers.body(number)
        return {"customer": customer and graphql_customer(customer), "userErrors": []}

    def _set_metafields(self, info: GraphQLResolveInfo, metafields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        for one in metafields:
            if self.shop.customers.body(number_of(one["ownerId"], "Customer") or 0) is None:
                problem = {"field": ["metafields"], "message": "Owner does not exist"}
                return {"metafields": [], "userErrors": [problem]}
            self.shop.customers.note(one["ownerId"], one["key"], one["value"])
        return {"metafields": [{"key": one["key"], "value": one["value"]} for one in metafields], "userErrors": []}

    def _delete_metafields(self, info: GraphQLResolveInfo, metafields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        known = [self.shop.customers.forget(one["ownerId"], one["key"]) for one in metafields]
        gone = [dict(one) if is_known else None for one, is_known in zip(metafields, known, strict=True)]
        return {"deletedMetafields": gone, "userErrors": []}

    def _parcel(self, info: GraphQLResolveInfo, parcel: Mapping[str, Any]) -> dict[str, Any]:
        order = self.shop.answer_for(parcel["order_id"])
        assert order is not None
        parcels: list[dict[str, Any]] = self._with_pages(order)["fulfillments"](info)
        return next(one for one in parcels if one["id"] == parcel["admin_graphql_api_id"])


def _refused(*problems: tuple[str, list[str] | None, str]) -> dict[str, Any]:
    errors = [{"code": code, "field": field, "message": message} for code, field, message in problems]
    return {"inventoryAdjustmentGroup": None, "userErrors": errors}


def _listed(rows: Sequence[Any]) -> Callable[..., Sequence[Any]]:
    """A plain list that may be asked for its first ones."""
    return lambda info, first=None, **_: rows[:first]

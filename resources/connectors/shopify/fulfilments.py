"""Parcels in Shopify: the fulfilments of an order, each created once, and how far its timeline says they have come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resources.connectors.connector import Delivery, Outcome, Result
from resources.connectors.shopify.admin_api import AdminApi, number_of, problem_of
from resources.host.text import whole

OPEN = ("OPEN", "IN_PROGRESS")  # fulfilment orders of which something may still leave
EVENTS = {  # how far a parcel has come, as its timeline in the shop says it; that it left, the fulfilment itself says
    "in_transit": "IN_TRANSIT", "out_for_delivery": "OUT_FOR_DELIVERY", "exception": "DELAYED", "delivered": "DELIVERED",
    "returned": "FAILURE",
}  # fmt: skip


@dataclass(frozen=True)
class Parcels:
    """The parcels of one shop."""

    api: AdminApi

    def write(self, delivery: Delivery) -> Outcome:
        """Create the fulfilment of this parcel, or as much of it as Shopify does not hold yet, and say how far it has come."""
        outcome, parcel = self._fulfil(delivery)
        if outcome.result is not Result.APPLIED or parcel is None:
            return outcome
        event = EVENTS.get(str(delivery.payload.get("status")))
        if event and event != parcel.get("displayStatus"):
            wish = {"fulfillmentId": parcel["id"], "status": event}
            done = self.api.write("TellOfParcel", {"event": wish})["fulfillmentEventCreate"]
            if problem := problem_of(done):
                return Outcome.refused(delivery, f"Shopify refuses to note the parcel as {event}: {problem}")
        return outcome

    def _fulfil(self, delivery: Delivery) -> tuple[Outcome, dict[str, Any] | None]:
        """The parcel's fulfilment, created where it was missing."""
        number = _tracking_number(delivery)
        order, problem = self._order_of(delivery)
        if order is None:
            return Outcome.refused(delivery, problem), None
        try:
            wanted = _quantities(delivery.payload["lines"])
        except (ValueError, KeyError, TypeError) as fault:
            return Outcome.refused(
                delivery, f"the lines of this parcel of {order['name']} cannot be read: {fault}"
            ), None
        linked = [one for one in _standing(order) if number_of(one["id"]) == delivery.remote_id]
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
            return Outcome.refused(
                delivery, f"{order['name']} is cancelled in the shop, and cannot be shipped there"
            ), None
        groups, short = _allot(order, missing)
        if short:
            return Outcome.refused(delivery, f"{order['name']}: {' and '.join(short)}"), None
        outcome = Outcome.refused(delivery, f"{order['name']}: there is nothing to ship")
        parcel = None
        for lines in groups:  # one for each location that ships; mostly one
            wish = {"lineItemsByFulfillmentOrder": lines, "notifyCustomer": True, "trackingInfo": _tracking(delivery)}
            done = self.api.write("CreateFulfillment", {"fulfillment": wish})["fulfillmentCreate"]
            outcome, parcel = _parcel_written(delivery, order, done), done and done["fulfillment"]
            if outcome.result is not Result.APPLIED:
                break
        return outcome, parcel

    def find(self, delivery: Delivery) -> Outcome:
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
        remote_id = number_of(str(delivery.payload.get("order_remote_id") or ""))
        name = delivery.payload.get("order_number")
        if not remote_id:
            return None, f"order {name} is not linked to an order of the shop, so its parcel has no place there"
        order = self.api.ask("ToFulfil", {"id": f"gid://shopify/Order/{remote_id}"}).data["order"]
        return order, f"order {name} is not in the shop (id {remote_id})"


def _quantities(lines: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Pieces by SKU. Raises ValueError or KeyError."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line["sku"]] = wanted.get(line["sku"], 0) + whole(line["quantity"])
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
    """What became of a mutation about a parcel."""
    problem = problem_of(done)
    if done is None or problem:
        return Outcome.refused(delivery, f"{order['name']}: Shopify refuses the fulfilment: {problem}")
    return _parcel_applied(delivery, done["fulfillment"])


def _parcel_applied(delivery: Delivery, parcel: Mapping[str, Any]) -> Outcome:
    info: dict[str, Any] = next(iter(parcel["trackingInfo"]), {})
    return Outcome(
        delivery.delivery_id,
        Result.APPLIED,
        remote_id=number_of(parcel["id"]),
        held={"tracking_number": info.get("number"), "carrier": info.get("company")},
    )

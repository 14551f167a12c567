"""A clerk of the own warehouse, who works at the ERP's screens: what they press, sent over JSON-RPC."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from resources.http import TIMEOUT, session

OVERLAP = timedelta(minutes=1)  # a transaction that began earlier may commit later than what was seen
TIME = ("year", "month", "day", "hour", "minute", "second", "microsecond")
NEXT_STEP = {
    "draft": "wait",
    "waiting": "assign_try",
    "assigned": "pick",
    "picked": "pack",
    "packed": "do",
    "shipped": "do",
}
PAGE = 200  # sales asked for at once


class Refused(Exception):
    """The ERP refused what the clerk did."""


class Clerk:
    """Logs in once and works in the name of one user."""

    def __init__(self, base_url: str, database: str, user: str, password: str) -> None:
        self.url = f"{base_url.rstrip('/')}/{database}/rpc/"
        self.user, self.password = user, password
        self.http = session()
        self.context: dict[str, Any] = {}

    def sales_since(self, since: str | None) -> tuple[dict[str, int], str | None]:
        """The sales in process that changed since then (None: ever), id by reference, and the time to ask from next."""
        domain: list[Any] = [["state", "=", "processing"], ["reference", "!=", None]]
        if since:
            domain.append(["write_date", ">=", _moment(datetime.fromisoformat(since) - OVERLAP)])
        order, fields = [["write_date", "ASC"], ["id", "ASC"]], ["reference", "write_date"]
        found: list[dict[str, Any]] = []
        while page := self._call("model.sale.sale.search_read", domain, len(found), PAGE, order, fields):
            found += page
        return {sale["reference"]: sale["id"] for sale in found}, found[-1][
            "write_date"
        ].isoformat() if found else since

    def goods(self, sales: list[int]) -> dict[str, dict[str, int]]:
        """What is to be shipped: reference, SKU, pieces."""
        fields = ["reference", "lines.product.code", "lines.product.type", "lines.quantity"]
        goods: dict[str, dict[str, int]] = {}
        for start in range(0, len(sales), PAGE):
            for sale in self._call("model.sale.sale.read", sales[start : start + PAGE], fields):
                pieces = goods.setdefault(sale["reference"], {})
                for line in sale["lines."]:
                    product = line.get("product.") or {}
                    if product.get("type") == "goods" and line["quantity"] > 0:
                        pieces[product["code"]] = pieces.get(product["code"], 0) + int(line["quantity"])
        return goods

    def sale(self, reference: str) -> dict[str, Any] | None:
        """The sale of that order."""
        found = self._call(
            "model.sale.sale.search_read", [["reference", "=", reference]], 0, 1, None, ["state", "shipments"]
        )
        return found[0] if found else None

    def ship(self, sale: dict[str, Any], tracking: str, *, is_partial: bool) -> str:
        """Take the sale's next open shipment to the door: `shipped`, `short` of stock, or `nothing` left to ship.

        A partial one leaves half of one line behind, for which the ERP opens another shipment.
        """
        model = "model.stock.shipment.out"
        domain = [["id", "in", sale["shipments"]], ["state", "in", list(NEXT_STEP)]]
        found = self._call(
            f"{model}.search_read", domain, 0, 1, [["id", "ASC"]], ["state", "reference", "inventory_moves"]
        )
        if not found:
            return "nothing"
        shipment = found[0]
        if not shipment["reference"]:  # the first touch; a clerk who was interrupted finds it, and only goes on
            if is_partial:
                self._pick_short(shipment["inventory_moves"])
            self._call(f"{model}.write", [shipment["id"]], {"reference": tracking})
        while shipment["state"] in NEXT_STEP:
            before = shipment["state"]
            self._call(f"{model}.{NEXT_STEP[before]}", [shipment["id"]])
            shipment = self._call(f"{model}.read", [shipment["id"]], ["state"])[0]
            if shipment["state"] == before:
                return "short"
        return "shipped"

    def _pick_short(self, moves: list[int]) -> None:
        for move in self._call("model.stock.move.read", moves, ["quantity"]):
            if move["quantity"] >= 2:
                self._call("model.stock.move.write", [move["id"]], {"quantity": float(move["quantity"] // 2)})
                return

    def _call(self, method: str, *parameters: Any) -> Any:
        """Ask the ERP, as the logged-in user. Raises Refused, or requests.RequestException when it does not answer."""
        if "Authorization" not in self.http.headers:
            number, key = self._ask("common.db.login", self.user, {"password": self.password}, "en")[:2]
            name = base64.b64encode(f"{self.user}:{number}:{key}".encode()).decode()
            self.http.headers["Authorization"] = f"Session {name}"
            company = self._ask("model.res.user.get_preferences", True, {})["company"]
            self.context = {"company": company}
        return self._ask(method, *parameters, self.context)

    def _ask(self, method: str, *parameters: Any) -> Any:
        answer = self.http.post(self.url, json={"id": 1, "method": method, "params": list(parameters)}, timeout=TIMEOUT)
        if answer.status_code in (401, 403):
            self.http.headers.pop("Authorization", None)  # the session has ended: log in anew at the next call
            raise requests.ConnectionError(f"the ERP's session has ended ({answer.status_code})")
        answer.raise_for_status()
        said = answer.json(object_hook=_plain)
        if "error" in said:
            raise Refused(f"{method}: {said['error'][:2]}")
        return said["result"]


def _plain(said: dict[str, Any]) -> Any:
    """Tryton's spelling of times and decimals as what they are."""
    kind = said.get("__class__")
    if kind == "datetime":
        return datetime(**{name: said[name] for name in TIME}, tzinfo=UTC)
    if kind == "Decimal":
        return said["decimal"]
    return said


def _moment(at: datetime) -> dict[str, Any]:
    return {"__class__": "datetime", **{name: getattr(at, name) for name in TIME}}

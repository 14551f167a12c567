"""A Shopify shop to practise on: the Admin API, signed webhooks, and levers for people and tests.

`python -m resources.sandbox.shopify` serves it on 127.0.0.1 until it is stopped; `... prepare` fetches Shopify's schema.
"""

import asyncio
import base64
import hashlib
import hmac
import html
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from resources.connectors.http import session
from resources.host import settings
from resources.sandbox.environment import sandbox_environment
from resources.sandbox.shopify_access import LIFE, Access
from resources.sandbox.shopify_graphql import AdminApi
from resources.sandbox.shopify_returns import NoSuchStep
from resources.sandbox.shopify_schema import API_VERSION, load, prepare
from resources.sandbox.shopify_service import Service
from resources.sandbox.shopify_shop import NotPossible, Shop

PATIENCE = 5.0  # seconds that Shopify waits for a webhook's receiver
POSTERS = 4  # webhooks in the air at once, so that one may overtake another
COMPLAINTS = 30.0  # seconds between two lines in the log about webhooks that are not taken
FAULTS = ("500", "500 after applying", "429", "throttle", "hang")


@dataclass
class Fault:
    """How the next requests to the Admin API go wrong."""

    kind: str
    times: int
    seconds: float = 30.0  # how long an applied request is left without an answer
    retry_after: str = "1"
    on: str = "any"  # or query, or mutation


class Sandbox:
    """The shop with its API, its webhooks and its levers."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        folder = settings.state_dir() / "sandbox" / "shopify"
        self.domain = environment["SHOPIFY_SHOP"]
        self.access = Access(
            environment["SHOPIFY_CLIENT_ID"], environment["SHOPIFY_CLIENT_SECRET"], os.environ.get("SHOPIFY_TOKEN", "")
        )
        self.secret = environment["SHOPIFY_WEBHOOK_SECRETS"].split(",")[0].strip()
        self.door = f"http://127.0.0.1:{settings.port('DOOR', 18700)}/webhooks/shopify"
        self.shop, self.schema = Shop(folder / "shop.sqlite"), load(folder)
        self.api = AdminApi(self.shop, self.schema)
        self.service = Service(self.shop)
        self.faults: list[Fault] = []
        self.stopping = threading.Event()
        self.here = threading.local()
        self.complained_at = -COMPLAINTS

    # --- the Admin API

    async def admin(self, request: Request) -> Response:
        if not self.access.opens(request.headers.get("x-shopify-access-token", "")):
            message = "[API] Invalid API key or access token (unrecognized login or wrong password)"
            return JSONResponse({"errors": message}, 401)
        try:
            wish = json.loads(await request.body())
            query, variables = wish["query"], wish.get("variables") or {}
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"errors": {"query": "Required parameter missing or invalid"}}, 400)
        fault = self._next_fault("mutation" if query.lstrip().startswith("mutation") else "query")
        if fault and fault.kind == "500":
            return JSONResponse({"errors": "Internal Server Error"}, 500)
        if fault and fault.kind == "429":
            return JSONResponse({"errors": "Too many requests"}, 429, {"Retry-After": fault.retry_after})
        if fault and fault.kind == "throttle":
            self.api.drain()
            return JSONResponse(self.api.throttled(100))
        answer = await run_in_threadpool(self.api.answer, query, variables)
        if fault and fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "500 after applying":
            return JSONResponse({"errors": "Internal Server Error"}, 500)
        return JSONResponse(answer)

    async def grant(self, request: Request) -> Response:
        return JSONResponse(*self.access.grant(request.headers.get("content-type", ""), await request.body()))

    def _next_fault(self, operation: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.on in ("any", operation):
                fault.times -= 1
                return fault
        return None

    # --- webhooks

    def post_for_ever(self) -> None:
        """Carry out what is planned and post what is due, until the shop closes."""
        with ThreadPoolExecutor(POSTERS) as posters:
            while not self.stopping.wait(0.1):
                try:
                    self.shop.run_due_plans()
                    list(posters.map(self._post, self.shop.due_webhooks()))
                except Exception as problem:  # noqa: BLE001 a shop that stops telling is worse than a line in its log
                    print(f"posting webhooks failed: {problem!r}; going on", flush=True)
                    self.stopping.wait(1)

    def _post(self, webhook: Mapping[str, Any]) -> None:
        """Post one webhook as Shopify does; a receiver that is slow, away or not content gets it again."""
        if not hasattr(self.here, "session"):
            self.here.session = session(0)
        body = webhook["body"].encode()
        error = None
        try:
            answer = self.here.session.post(
                f"{self.door}/{webhook['topic']}",
                data=body,
                headers=self.headers(webhook, body),
                timeout=PATIENCE,
            )
            if not 200 <= answer.status_code < 300:
                error = f"{answer.status_code} {answer.text[:200]}"
        except requests.RequestException as problem:
            error = type(problem).__name__
        self.shop.posted(webhook["webhook_id"], error)
        if error and time.monotonic() > self.complained_at + COMPLAINTS:
            self.complained_at = time.monotonic()
            print(f"a webhook {webhook['topic']} was not taken ({error}); it is posted again, as all are", flush=True)

    def headers(self, webhook: Mapping[str, Any], body: bytes) -> dict[str, str]:
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "User-Agent": "Shopify-Captain-Hook",
            "X-Shopify-Topic": webhook["topic"],
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
            "X-Shopify-Shop-Domain": self.domain,
            "X-Shopify-API-Version": API_VERSION,
            "X-Shopify-Webhook-Id": webhook["webhook_id"].removesuffix("/again"),
            "X-Shopify-Event-Id": webhook["event_id"],
            "X-Shopify-Triggered-At": webhook["triggered"],
        }

    # --- levers

    def levers(self) -> list[Route]:
        def at(path: str, method: str, do: Callable[[Request, Any], Any]) -> Route:
            async def endpoint(request: Request) -> Response:
                body = await request.body()
                try:
                    wish = json.loads(body) if body else {}
                    return JSONResponse(await run_in_threadpool(do, request, wish))
                except (NotPossible, NoSuchStep) as reason:
                    return JSONResponse({"error": str(reason)}, 409)
                except (ValueError, KeyError, TypeError, AttributeError) as problem:
                    return JSONResponse({"error": f"that cannot be read: {problem!r}"}, 400)

            return Route(path, endpoint, methods=[method])

        def of(request: Request) -> int:
            return int(request.path_params["order_id"])

        shop = self.shop
        return [
            at("/sandbox/orders", "POST", lambda _, wish: _brief(shop.place(wish))),
            at("/sandbox/orders", "GET", lambda request, _: self._list(int(request.query_params.get("limit", "50")))),
            at("/sandbox/orders/{order_id:int}", "GET", lambda request, _: shop.order(of(request))),
            at("/sandbox/orders/{order_id:int}", "POST", self._plant),
            at("/sandbox/orders/{order_id:int}", "DELETE", self._delete),
            at("/sandbox/orders/{order_id:int}/edit", "POST", self._edit),
            at(
                "/sandbox/orders/{order_id:int}/cancel",
                "POST",
                lambda request, wish: _brief(shop.cancel(of(request), wish.get("reason", "customer"))),
            ),
            at("/sandbox/orders/{order_id:int}/pay", "POST", lambda request, _: _brief(shop.pay(of(request)))),
            at(
                "/sandbox/orders/{order_id:int}/refund",
                "POST",
                lambda request, wish: shop.refund(
                    of(request), Decimal(wish["amount"]), status=wish.get("status", "success"), note=wish.get("note")
                ),
            ),
            at(
                "/sandbox/orders/{order_id:int}/payment",
                "POST",
                lambda request, wish: shop.paid_by(of(request), wish["authorization"]),
            ),
            at("/sandbox/orders/{order_id:int}/returns", "GET", lambda request, _: shop.returns_of(of(request))),
            at(
                "/sandbox/orders/{order_id:int}/returns",
                "POST",
                lambda request, wish: self.service.request(
                    of(request), _lines_of(shop.order(of(request)), wish["lines"])
                ),
            ),
            at(
                "/sandbox/returns/{return_id:int}/{step}",
                "POST",
                lambda request, _: self.service.step(request.path_params["return_id"], request.path_params["step"]),
            ),
            at(
                "/sandbox/orders/{order_id:int}/take_back",
                "POST",
                lambda request, wish: self.service.take_back(
                    of(request),
                    _lines_of(shop.order(of(request)), wish["lines"]),
                    restock=wish.get("restock", "return"),
                    amount=Decimal(wish["amount"]) if "amount" in wish else None,
                ),
            ),
            at(
                "/sandbox/customers/{customer_id:int}/address",
                "POST",
                lambda request, wish: self.api.book.move(request.path_params["customer_id"], wish),
            ),
            at("/sandbox/till", "GET", lambda request, _: shop.to_settle(int(request.query_params["since"]))),
            at("/sandbox/inventory", "GET", lambda _, __: shop.stock()),
            at("/sandbox/inventory", "POST", self._set_stock),
            at(
                "/sandbox/customers/{customer_id:int}/notes",
                "GET",
                lambda request, _: shop.customers.notes(request.path_params["customer_id"]),
            ),
            at("/sandbox/prices", "GET", lambda _, __: self.api.prices.shown()),
            at("/sandbox/prices", "POST", lambda _, wish: self.api.prices.change(wish)),
            at("/sandbox/variants", "POST", lambda _, wish: shop.add_variant(**wish)),
            at("/sandbox/faults", "GET", lambda _, __: [fault.__dict__ for fault in self.faults]),
            at("/sandbox/faults", "POST", self._break),
            at("/sandbox/faults", "DELETE", lambda _, __: self._mend()),
            at("/sandbox/tokens", "GET", lambda _, __: self.access.change({})),
            at("/sandbox/tokens", "POST", lambda _, wish: self.access.change(wish)),
            at("/sandbox/webhooks", "GET", lambda _, __: shop.queue()),
            at("/sandbox/webhooks", "POST", self._set_posting),
            at("/sandbox/traffic", "GET", lambda _, __: self._traffic()),
            at("/sandbox/traffic", "POST", self._set_traffic),
        ]

    def _list(self, limit: int) -> list[dict[str, Any]]:
        rows = self.shop.rows("select body from orders order by order_id desc limit ?", limit)
        return [_brief(json.loads(row["body"])) for row in rows]

    def _plant(self, request: Request, wish: dict[str, Any]) -> dict[str, Any]:
        """Write into an order without a webhook; with ?touch=0 even without a new updated_at."""
        touch = request.query_params.get("touch") != "0"
        return _brief(self.shop.patch(request.path_params["order_id"], wish, touch=touch))

    def _delete(self, request: Request, _: Any) -> dict[str, bool]:
        self.shop.delete(request.path_params["order_id"], webhook=request.query_params.get("webhook") != "0")
        return {"deleted": True}

    def _edit(self, request: Request, wish: dict[str, Any]) -> dict[str, Any]:
        """Lower lines: {"remove": [SKU or line id, ...]} or {"quantities": {SKU or line id: new quantity}}."""
        order_id = request.path_params["order_id"]
        wanted = {str(name): 0 for name in wish.get("remove", [])} | dict(wish.get("quantities", {}))
        lines = self.shop.order(order_id)["line_items"]
        quantities = {
            line["id"]: int(quantity)
            for name, quantity in wanted.items()
            for line in lines
            if name in (line["sku"], str(line["id"]))
        }
        if len(quantities) < len(wanted) or not wanted:
            raise NotPossible(f"order {order_id} has no such line; name them by SKU or id")
        return _brief(self.shop.edit(order_id, quantities))

    def _set_stock(self, _: Request, wish: dict[str, Any]) -> dict[str, Any] | None:
        variant = self.shop.variant(wish["sku"])
        if variant is None:
            raise NotPossible(f"there is no SKU {wish['sku']}")
        with self.shop.transaction():
            level = self.shop.level(variant["inventory_item_id"])
            assert level is not None
            self.shop.move_stock(variant["inventory_item_id"], available=int(wish["available"]) - level["available"])
        return self.shop.level(variant["inventory_item_id"])

    def _break(self, _: Request, wish: dict[str, Any]) -> list[dict[str, Any]]:
        fault = Fault(**{"times": 1, **wish})
        if fault.kind not in FAULTS:
            raise NotPossible(f"kind must be one of {', '.join(FAULTS)}")
        self.faults = [one for one in self.faults if one.times > 0] + [fault]
        return [one.__dict__ for one in self.faults]

    def _mend(self) -> dict[str, bool]:
        """All is well again: no faults, a full bucket, and tokens for a day."""
        self.faults.clear()
        self.access.change({"life": LIFE})
        self.api.refill()
        return {"is_well": True}

    def _set_posting(self, _: Request, wish: dict[str, Any]) -> dict[str, Any]:
        self.shop.is_posting = bool(wish["is_posting"])
        return self.shop.queue()

    def _traffic(self) -> dict[str, Any]:
        return {
            "rate": float(self.shop.fact("rate", "0.2")),
            "seed": int(self.shop.fact("seed", "1")),
            "next": int(self.shop.fact("orders", "0")) + 1,
        }

    def _set_traffic(self, _: Request, wish: dict[str, Any]) -> dict[str, Any]:
        if "rate" in wish:
            self.shop.remember("rate", str(float(wish["rate"])))
        if "seed" in wish:
            self.shop.remember("seed", str(int(wish["seed"])))
        return self._traffic()

    async def health(self, _: Request) -> Response:
        return JSONResponse({"is_up": True, "is_validated": self.schema.is_real, "note": self.schema.note})

    async def front(self, _: Request) -> Response:
        """The last orders, for a person's eyes."""
        orders = await run_in_threadpool(self._list, 30)
        queue = await run_in_threadpool(self.shop.queue)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(str(value))}" for value in order.values()) for order in orders
        )
        heads = "".join(f"<th align=left>{name}" for name in (orders[0] if orders else ()))
        return HTMLResponse(
            f"<!doctype html><title>Sandbox shop</title><h1>Sandbox shop</h1><p>{html.escape(self.schema.note)}"
            f"<p>webhooks: {html.escape(json.dumps(queue))}<table cellpadding=4><tr>{heads}{rows}</table>"
        )


def _lines_of(order: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[int, int]:
    """Quantities by line id, of what is named by SKU or by id."""
    named = {name: line["id"] for line in order["line_items"] for name in (line["sku"], str(line["id"]))}
    return {named[name]: int(quantity) for name, quantity in wanted.items()}


def _brief(order: Mapping[str, Any]) -> dict[str, Any]:
    """What one wants to see of an order."""
    return {
        "id": order["id"],
        "name": order["name"],
        "total": f"{order.get('current_total_price')} {order.get('currency')}",
        "financial_status": order.get("financial_status"),
        "fulfillment_status": order.get("fulfillment_status"),
        "cancelled_at": order.get("cancelled_at"),
        "updated_at": order.get("updated_at"),
        "lines": [[line["id"], line["sku"], line["current_quantity"]] for line in order.get("line_items", [])],
    }


def serve() -> None:
    """Open the shop until SIGTERM or SIGINT."""
    sandbox = Sandbox(sandbox_environment())
    port = settings.port("SHOPIFY", 18800)
    app = Starlette(
        routes=[
            Route("/", sandbox.front),
            Route("/healthz", sandbox.health),
            Route("/admin/oauth/access_token", sandbox.grant, methods=["POST"]),
            Route(f"/admin/api/{API_VERSION}/graphql.json", sandbox.admin, methods=["POST"]),
            *sandbox.levers(),
        ]
    )
    poster = threading.Thread(target=sandbox.post_for_ever, name="webhooks")
    poster.start()
    print(f"the sandbox shop is at http://127.0.0.1:{port}/; {sandbox.schema.note}", flush=True)
    try:
        uvicorn.run(
            app, host="127.0.0.1", port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=1
        )
    finally:
        sandbox.stopping.set()
        poster.join(PATIENCE + 1)


def main() -> None:
    if sys.argv[1:] == ["prepare"]:
        started = time.monotonic()
        print(prepare(settings.state_dir() / "sandbox" / "shopify"), f"({time.monotonic() - started:.1f} s)")
    elif sys.argv[1:]:
        sys.exit("usage: python -m resources.sandbox.shopify [prepare]")
    else:
        serve()


if __name__ == "__main__":
    main()

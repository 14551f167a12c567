"""A sandbox shop of its own for the tests: a process on a free port, its state in a temporary folder."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from resources.connectors.shopify.connector import Shopify
from resources.host import settings
from resources.sandbox.shopify_schema import API_VERSION, prepare
from tests.fixtures_postgres import free_port

READY_SECONDS = 30


@dataclass
class ShopifyMock:
    """The running shop, and what a test does to it."""

    base_url: str
    shop: str
    client_id: str
    client_secret: str
    token: str  # of an app made before 2026, which never ends
    secret: str
    door_port: int  # where it posts its webhooks
    state: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def is_validated(self) -> bool:
        return bool(self.get("/healthz")["is_validated"])

    @property
    def note(self) -> str:
        return str(self.get("/healthz")["note"])

    def connector(self, **changes: str) -> Shopify:
        settings_ = {
            "base_url": self.base_url,
            "shop": self.shop,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "webhook_secrets": self.secret,
        }
        return Shopify(**{**settings_, **changes})

    def get(self, path: str) -> Any:
        return requests.get(self.base_url + path, timeout=10).json()

    def post(self, path: str, wish: Any = None) -> Any:
        """Pull a lever. Raises AssertionError with the shop's own words when it will not move."""
        answer = requests.post(self.base_url + path, json=wish if wish is not None else {}, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def delete(self, path: str) -> Any:
        return requests.delete(self.base_url + path, timeout=10).json()

    def place(self, *lines: tuple[str, int], **content: Any) -> dict[str, Any]:
        """Place an order of these SKUs and quantities; the shop's short word on it: id, name, lines."""
        wish = {
            "email": "ada@example.com",
            "currency": "EUR",
            "taxes_included": True,
            "lines": [
                {
                    "sku": sku,
                    "title": sku,
                    "quantity": quantity,
                    "price": "10.00",
                    "taxes": [{"title": "VAT", "rate": "0.19"}],
                }
                for sku, quantity in lines
            ],
            "shipping": {"title": "Standard", "price": "4.90", "taxes": []},
        }
        return dict(self.post("/sandbox/orders", {**wish, **content}))

    def order(self, order_id: int) -> dict[str, Any]:
        return dict(self.get(f"/sandbox/orders/{order_id}"))

    def refund(self, order_id: int, amount: str, status: str = "success") -> dict[str, Any]:
        """Give back an amount; `status` says whether the payment service took it."""
        return dict(self.post(f"/sandbox/orders/{order_id}/refund", {"amount": amount, "status": status}))

    def stock(self, sku: str) -> dict[str, int]:
        return next(dict(row) for row in self.get("/sandbox/inventory") if row["sku"] == sku)

    def set_stock(self, sku: str, available: int) -> None:
        self.post("/sandbox/inventory", {"sku": sku, "available": available})

    def fail(self, kind: str, **how: Any) -> None:
        """Let the next requests go wrong: 500, '500 after applying', 429, throttle, hang."""
        self.post("/sandbox/faults", {"kind": kind, **how})

    def ask(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The Admin API's bare answer."""
        answer = requests.post(
            f"{self.base_url}/admin/api/{API_VERSION}/graphql.json",
            json={"query": query, "variables": variables or {}},
            headers={"X-Shopify-Access-Token": self.token},
            timeout=10,
        )
        return dict(answer.json())

    def start(self) -> None:
        """Start the process (again) and wait until it answers."""
        log = (self.state / "shopify.log").open("ab")
        command = [sys.executable, "-m", "resources.sandbox.shopify"]
        self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, cwd=settings.ROOT)
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                requests.get(f"{self.base_url}/healthz", timeout=1)
                return
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError("the sandbox shop did not start:\n" + (self.state / "shopify.log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture(scope="session")
def shopify_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopifyMock]:
    """One shop for the session; tests place orders of their own and look at no others."""
    state = tmp_path_factory.mktemp("shopify")
    cache = settings.ROOT / ".concord" / "sandbox" / "shopify"  # fetched once a checkout, not once a session
    prepare(cache)
    folder = state / "sandbox" / "shopify"
    folder.mkdir(parents=True)
    for schema in cache.glob("admin_*.json.gz"):
        shutil.copy(schema, folder)
    port, door_port = free_port(), free_port()
    secret = "hush-hush-of-the-tests"
    environment = {
        **os.environ,
        "CONCORD_STATE": str(state),
        "CONCORD_SHOPIFY_PORT": str(port),
        "CONCORD_DOOR_PORT": str(door_port),
        "SHOPIFY_CLIENT_ID": "app-of-the-tests",
        "SHOPIFY_CLIENT_SECRET": "shpss_of_the_tests",
        "SHOPIFY_TOKEN": "shpat_of_the_tests",
        "SHOPIFY_SHOP": "concord-tests.myshopify.com",
        "SHOPIFY_WEBHOOK_SECRETS": secret,
    }
    mock = ShopifyMock(
        base_url=f"http://127.0.0.1:{port}",
        shop=environment["SHOPIFY_SHOP"],
        client_id=environment["SHOPIFY_CLIENT_ID"],
        client_secret=environment["SHOPIFY_CLIENT_SECRET"],
        token=environment["SHOPIFY_TOKEN"],
        secret=secret,
        door_port=door_port,
        state=state,
        environment=environment,
        process=None,  # type: ignore[arg-type]
    )
    mock.start()
    yield mock
    mock.stop()

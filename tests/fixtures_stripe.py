"""A payment service for the tests: localstripe as the sandbox runs it, on a free port for the whole session."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from resources.connectors.stripe.connector import Stripe
from resources.host import settings
from tests.fixtures_postgres import free_port

READY_SECONDS = 30
CARD = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2030", "cvc": "123"}


@dataclass
class RunningStripe:
    """The running service, and what a test does to it."""

    base_url: str
    api_key: str
    secret: str
    door_port: int  # where it posts its webhooks
    state: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def connector(self) -> Stripe:
        return Stripe(base_url=self.base_url, api_key=self.api_key, webhook_secrets=self.secret)

    def ask(self, method: str, path: str, **wish: Any) -> dict[str, Any]:
        """Its bare answer. Raises AssertionError with its own words when it refuses."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = requests.request(method, f"{self.base_url}/v1/{path}", data=wish, headers=headers, timeout=10)
        assert answer.ok, answer.text
        return dict(answer.json())

    def pay(self, amount: int, currency: str = "eur", *, capture: str = "automatic", **metadata: str) -> str:
        """A customer pays, in the smallest unit; the payment's id."""
        card = self.ask(
            "POST", "payment_methods", type="card", **{f"card[{name}]": text for name, text in CARD.items()}
        )
        told = {f"metadata[{name}]": text for name, text in metadata.items()}
        wish = {"amount": amount, "currency": currency, "payment_method": card["id"], "confirm": "true"}
        return str(self.ask("POST", "payment_intents", **wish, capture_method=capture, **told)["id"])

    def capture(self, payment: str, amount: int) -> None:
        self.ask("POST", f"payment_intents/{payment}/capture", amount_to_capture=amount)

    def void(self, payment: str) -> None:
        self.ask("POST", f"payment_intents/{payment}/cancel")

    def refund(self, payment: str, amount: int, **metadata: str) -> str:
        told = {f"metadata[{name}]": text for name, text in metadata.items()}
        return str(self.ask("POST", "refunds", payment_intent=payment, amount=amount, **told)["id"])

    def refunds_of(self, payment: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"refunds?payment_intent={payment}&limit=100")["data"])

    def start(self) -> None:
        """Start the process (again) and wait until it answers."""
        environment = {
            **os.environ,
            "CONCORD_STATE": str(self.state),
            "CONCORD_STRIPE_PORT": self.base_url.rpartition(":")[2],
            "CONCORD_DOOR_PORT": str(self.door_port),
            "STRIPE_API_KEY": self.api_key,
            "STRIPE_WEBHOOK_SECRETS": self.secret,
        }
        with (self.state / "stripe.log").open("ab") as log:
            command = [sys.executable, "-m", "resources.sandbox.stripe"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=settings.ROOT)
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                requests.get(self.base_url, timeout=1)
                return
            except requests.RequestException:
                time.sleep(0.05)
        raise AssertionError("the payment service did not start:\n" + (self.state / "stripe.log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def new_stripe(state: Path) -> RunningStripe:
    """A service of one's own in that folder, not yet started."""
    base_url = f"http://127.0.0.1:{free_port()}"
    return RunningStripe(base_url, "sk_test_of_the_tests", "whsec_of_the_tests", free_port(), state)


@pytest.fixture(scope="session")
def stripe_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStripe]:
    """One service for the session; tests make payments of their own and look at no others."""
    server = new_stripe(tmp_path_factory.mktemp("stripe"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def own_stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStripe]:
    """A service of the module's own, whose balance nobody else moves."""
    server = new_stripe(tmp_path_factory.mktemp("own_stripe"))
    server.start()
    yield server
    server.stop()

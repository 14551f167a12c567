"""A payment service to practise on: localstripe, a server that speaks as Stripe does, on 127.0.0.1 with books that are kept.

localstripe signs webhooks as Stripe does and sends them once, for payments that succeeded or failed; of voids and refunds
it tells nothing. Those must be asked for.

usage: python -m resources.sandbox.stripe
"""

import asyncio
import contextlib
import hmac
import os
import pickle
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from localstripe import resources as objects
from localstripe import server, webhooks
from localstripe.errors import UserError

from resources.host import settings
from resources.host.ports import is_free
from resources.sandbox.environment import sandbox_environment
from resources.sandbox.stripe_payouts import balance, pay_out

EVENTS = ["payment_intent.succeeded", "payment_intent.payment_failed"]
PAID_OUT_EVERY = 600.0  # seconds: a day of the sandbox
KEPT_EVERY = 2.0  # seconds between two savings of the books: localstripe itself saves all of them with every object
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Books:
    """Everything that the service holds, in one file; a kill costs the last two seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_changed = False
        type(objects.store).dump_to_disk = lambda _: self.note()

    def note(self) -> None:
        self.is_changed = True

    def open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            dict.update(objects.store, pickle.loads(self.path.read_bytes()))  # noqa: S301  we wrote it

    def save(self) -> None:
        if self.is_changed:
            self.is_changed = False
            unfinished = self.path.with_suffix(f".{os.getpid()}")
            unfinished.write_bytes(pickle.dumps(dict(objects.store), protocol=pickle.HIGHEST_PROTOCOL))
            unfinished.replace(self.path)

    async def keep(self, _: web.Application) -> AsyncIterator[None]:
        """Save what changed, every now and then and at the end."""

        async def for_ever() -> None:
            while True:
                await asyncio.sleep(KEPT_EVERY)
                self.save()

        saving = asyncio.create_task(for_ever())
        yield
        saving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saving
        self.save()


async def pay_out_daily(_: web.Application) -> AsyncIterator[None]:
    """Send the balance to the bank at the end of each of the sandbox's days."""

    async def for_ever() -> None:
        while True:
            await asyncio.sleep(PAID_OUT_EVERY)
            pay_out()

    paying = asyncio.create_task(for_ever())
    yield
    paying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await paying


def speak_as_today() -> None:
    """What Stripe says and does today, and localstripe's answers of 2017 lack."""
    charge, intent, refund = objects.Charge, objects.PaymentIntent, objects.Refund
    capture, create_charge, begin_refund = charge._capture, intent._create_charge, refund.__init__

    def captured_in_part(self: Any, amount: Any, on_success: Any = None) -> None:
        capture(self, amount, on_success)
        self._captured_amount = self.amount if amount is None else int(amount)

    def amount_captured(self: Any) -> int:
        return getattr(self, "_captured_amount", self.amount) if self.captured and self.paid else 0

    def amount_received(self: Any) -> int:
        return self.latest_charge.amount_captured if self.latest_charge else 0

    def charged(self: Any, on_failure_now: Any) -> None:
        create_charge(self, on_failure_now)
        self.latest_charge.metadata = dict(self.metadata)
        paid_with = objects.PaymentMethod._api_retrieve(self.payment_method)
        told = {"brand": paid_with.card["brand"]} if paid_with.type == "card" else {}
        self.latest_charge.payment_method_details = {"type": paid_with.type, paid_with.type: told}

    def refunds(self: Any) -> Any:
        found = objects.List(f"/v1/charges/{self.id}/refunds")
        found._list = list(reversed(getattr(self, "_refunds", [])))  # localstripe looks through all that it holds
        return found

    def refunded(self: Any, charge: Any = None, payment_intent: Any = None, amount: Any = None, **more: Any) -> None:
        if payment_intent is not None:
            known = objects.PaymentIntent._api_retrieve(payment_intent).latest_charge
        else:
            known = objects.Charge._api_retrieve(charge)
        left = known.amount - known.amount_refunded if known else 0
        if amount is not None and int(amount) > left:
            raise UserError(400, f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})")
        begin_refund(self, charge=charge, payment_intent=payment_intent, amount=amount or left or None, **more)
        self.payment_intent = known.payment_intent
        self.reason = None
        known._refunds = [*getattr(known, "_refunds", []), self]

    charge._capture, charge.amount_captured, charge.refunds = (
        captured_in_part,
        property(amount_captured),
        property(refunds),
    )
    intent._create_charge, intent.amount_received = charged, property(amount_received)
    refund.__init__ = refunded
    list_by_charge = refund._api_list_all.__func__
    for kind, listed in ((intent, None), (refund, list_by_charge)):
        kind._api_list_all = classmethod(newest_first(kind, listed))


def newest_first(kind: Any, listed: Any) -> Callable[..., Any]:
    """A list as Stripe gives it: the newest first, and only what was made since `created[gte]` where that is asked."""

    def answer(
        cls: Any, url: str, created: Any = None, limit: Any = None, starting_after: Any = None, **more: Any
    ) -> Any:
        if listed and more:
            return listed(cls, url, limit=limit, starting_after=starting_after, **more)
        found = objects.List(url, limit=limit, starting_after=starting_after)
        since = int((created or {}).get("gte", 0))
        for key in reversed(objects.store):
            if key.startswith(f"{kind.object}:"):
                if objects.store[key].created < since:
                    break
                found._list.append(objects.store[key])
        return found

    return answer


def guarded(api_key: str) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """Answers 401 to every key but ours, which localstripe does not."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), api_key.encode()):
            return web.json_response(
                {"error": {"type": "invalid_request_error", "message": "Invalid API Key"}}, status=401
            )
        return await handler(request)

    return middleware


def serve(environment: Mapping[str, str]) -> None:
    """Serve until a signal ends it."""
    port = settings.port("STRIPE", 18420)
    if not is_free(port):
        sys.exit(f"stripe: port {port} is in use; stop what listens there, or set CONCORD_STRIPE_PORT to a free port")
    books = Books(settings.state_dir() / "sandbox" / "stripe" / "books.pickle")
    speak_as_today()
    books.open()
    door = f"http://127.0.0.1:{settings.port('DOOR', 18700)}/webhooks/stripe/events"
    secret = environment["STRIPE_WEBHOOK_SECRETS"].split(",")[0].strip()
    webhooks.register_webhook("concord", door, secret, EVENTS)
    server.app.middlewares.insert(0, guarded(environment["STRIPE_API_KEY"]))
    server.app.middlewares.insert(1, balance)
    server.app.cleanup_ctx.append(books.keep)
    server.app.cleanup_ctx.append(pay_out_daily)
    print(f"the payment service is at http://127.0.0.1:{port}/", flush=True)
    web.run_app(server.app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    serve(sandbox_environment())

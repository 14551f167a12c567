"""A small shop that signs its webhooks, and the door before it as a process: `python -m tests.signed_shop URL PORT`."""

import hashlib
import hmac
import sys
from collections.abc import Mapping, Sequence

from pipelines.runtime.door import Door, run_door
from resources.connectors.connector import BadMessage, BadSignature, Connector, Message
from resources.host.text import as_payload
from resources.store.store import Store

SECRET = "correct horse"
TOPICS = {("shop", "orders/create"), ("shop", "orders/updated"), ("shop", "notes"), ("shop", "faulty")}


class SignedShop(Connector):
    """Signs the body alone, as Shopify does; its event id stands in a header."""

    secret: str

    def is_signed(self, topic: str, headers: Mapping[str, str], body: bytes) -> bool:
        return hmac.compare_digest(signature(body, self.secret), headers.get("X-Signature", ""))

    def read_webhook(self, topic: str, headers: Mapping[str, str], body: bytes) -> Sequence[Message]:
        if not self.is_signed(topic, headers, body):
            raise BadSignature
        if topic == "faulty":
            raise KeyError(body.decode())
        try:
            payload = as_payload(body)
        except ValueError as problem:
            raise BadMessage("is not JSON") from problem
        event_id = headers.get("X-Event-Id")
        return [Message(topic, payload, body, event_id=event_id, is_versioned=topic != "notes")]


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def shop_door(store: Store, **settings: float) -> Door:
    return Door({"shop": SignedShop(secret=SECRET)}, TOPICS, store, **settings)  # type: ignore[arg-type]


if __name__ == "__main__":
    run_door(shop_door(Store(url=sys.argv[1])), int(sys.argv[2]))

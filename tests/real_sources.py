"""The real messages of others that CONCORD_REALDATA names, each beside the system and stream that it goes through."""

import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resources.connectors.connector import BadMessage, Message
from resources.connectors.stripe.connector import Stripe
from resources.host.text import BOM, as_payload

Json = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where messages come from, in a person's words, and the system of the map that says them."""

    name: str
    system: str
    messages: list[Message]
    entities: tuple[str, ...]
    by: str = "webhook"  # or poll; or file: it goes through the drop folder that the map names
    refused: list[str] = field(default_factory=list)  # what the connector said of bodies that no stream takes


def sources(folder: Path) -> list[Source]:
    """Everything but the two histories, which come as files."""
    shopify, woocommerce, magento = folder / "shopify", folder / "woocommerce", folder / "magento/m2_rest_recorded"
    sold = ("orders", "customers")
    return [
        *(
            Source(f"Shopify REST {version}", "shopify", [
                *_messages("orders", listed(shopify.glob(f"rest_docs_examples_{version}/order__*"), "order")),
                *_messages("refunds", listed(shopify.glob(f"rest_docs_examples_{version}/refund__*"), "refund")),
            ], (*sold, "refunds"))
            for version in ("2022-04", "2024-01")
        ),
        Source("Shopify REST, its Python client", "shopify", [
            *_messages("orders", listed(shopify.glob("rest_fixtures_python_api/order*.json"), "order")),
            *_messages("refunds", listed(shopify.glob("rest_fixtures_python_api/refund.json"), "refund")),
        ], (*sold, "refunds")),
        Source("Shopify GraphQL, recorded", "shopify", [
            *_messages("orders_read", recorded(shopify / "graphql_live_recordings", "Order")),
            *_messages("refunds_read", recorded(shopify / "graphql_live_recordings", "Refund")),
        ], (*sold, "refunds"), by="poll"),
        Source("Magento 2 REST, recorded", "magento", [
            *_messages("orders", _kept(magento, lambda told: "increment_id" in told and "items" in told)),
            *_messages("customers", _kept(magento, lambda told: "group_id" in told and "email" in told)),
            *_messages("products", _kept(magento, lambda told: "sku" in told and "type_id" in told)),
        ], (*sold, "products"), by="file"),
        *(
            Source(f"WooCommerce REST {version}", "woocommerce", [
                *_messages("orders", listed((woocommerce / f"rest_{version}_docs").glob("orders__*"))),
                *_messages("customers", listed((woocommerce / f"rest_{version}_docs").glob("customers__*"))),
                *_messages("refunds", listed((woocommerce / f"rest_{version}_docs").glob("order-refunds__*"))),
                *_messages("products", listed((woocommerce / f"rest_{version}_docs").glob("products__*"))),
            ], (*sold, "refunds", "products"), by="file")
            for version in ("v2", "v3")
        ),
        stripe_objects(folder / "payments/stripe_api_objects"),
    ]  # fmt: skip


def listed(paths: Iterator[Path], name: str | None = None) -> list[Json]:
    """Every record of these answers: of an API that wraps them in their name, or lists them bare."""
    found: list[Any] = []
    for path in sorted(paths):
        told = json.loads(path.read_bytes().removeprefix(BOM))
        body = told.get("body", told) if isinstance(told, dict) else told
        if name and isinstance(body, dict):
            found += [*(body.get(f"{name}s") or []), body.get(name)]
        elif name is None:
            found += body if isinstance(body, list) else [body, *_batch(body)]
    return [told for told in found if isinstance(told, dict) and "id" in told]


def _batch(body: Json) -> list[Json]:
    return [told for verb in ("create", "update") for told in body.get(verb) or []]


def recorded(folder: Path, kind: str) -> list[Json]:
    """Every node of that kind in recorded GraphQL answers that was asked when it changed: the others are parts of answers."""
    return [
        node
        for path in sorted(folder.rglob("*.json"))
        for node in _objects(json.loads(path.read_bytes()))
        if str(node.get("id")).startswith(f"gid://shopify/{kind}/") and node.get("updatedAt")
    ]


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from _objects(one)


def _kept(folder: Path, is_one: Callable[[Json], bool]) -> list[Json]:
    told = [json.loads(path.read_bytes()).get("body") for path in sorted(folder.glob("*.json"))]
    return [one for one in told if isinstance(one, dict) and is_one(one)]


def _messages(stream: str, told: list[Json]) -> list[Message]:
    """Each body once: documentation shows the same record on many pages."""
    bodies = {json.dumps(one, sort_keys=True).encode(): one for one in told}
    return [
        Message(
            stream,
            as_payload(body),
            body,
            remote_id=str(one.get("id")).rpartition("/")[2],
            is_versioned="updated_at" in one,
        )
        for body, one in bodies.items()
    ]


def stripe_objects(folder: Path) -> Source:
    """Every example object of Stripe's documentation, as the event that would tell of it; one happens after the other."""
    connector = Stripe(base_url="http://127.0.0.1:9", api_key="sk_test_x", webhook_secrets="whsec_x")
    messages: list[Message] = []
    refused: list[str] = []
    for number, path in enumerate(sorted(folder.glob("*.json"))):
        told = {
            "object": "event", "id": f"evt_{number}", "type": "x", "created": int(time.time()) - 100 + number,
            "data": {"object": json.loads(path.read_bytes())},
        }  # fmt: skip
        body, at = json.dumps(told).encode(), int(time.time())
        signature = hmac.new(b"whsec_x", b"%d." % at + body, "sha256").hexdigest()
        try:
            messages += connector.read_webhook("events", {"Stripe-Signature": f"t={at},v1={signature}"}, body)
        except BadMessage as problem:
            refused.append(str(problem))
    return Source("Stripe's example objects", "stripe", messages, ("payments", "refunds"), refused=refused)

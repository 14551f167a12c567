"""What the connector suite must know of each system: how to change something there, and how to look."""

import itertools
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.connectors.connector import Connector, Delivery
from resources.sandbox.catalogue import CATALOGUE
from resources.sandbox.clerk import Clerk
from resources.sandbox.tryton_desk import add_products, ship
from tests.fixtures_postgres import free_port
from tests.fixtures_sftp import Place
from tests.fixtures_shopify import ShopifyMock
from tests.fixtures_stripe import RunningStripe
from tests.fixtures_tryton import RunningTryton

numbers = itertools.count(1)


def no_effects(delivery: Delivery) -> int:
    raise NotImplementedError


@dataclass(frozen=True)
class Adapter:
    """A connector, the system behind it, and the hands with which a test works there."""

    connector: Connector
    unreachable: Connector  # the same, where nobody listens
    secrets: Sequence[str]
    polls: Mapping[str, Callable[[], object]] = field(default_factory=dict)  # stream: change one record there
    snapshots: Sequence[str] = ()
    deliveries: Mapping[str, Callable[[], Sequence[Delivery]]] = field(default_factory=dict)  # entity: new ones
    effects: Callable[[Delivery], int] = no_effects  # how many times the system holds what the delivery asks for


ROWS = {"glob": "in/*.csv", "format": "csv"}
GATHERED = {"glob": "orders/*.csv", "format": "csv", "one_message_per": "order"}
PARCELS = {"glob": "notes/*.xml", "format": "xml", "row": "/notes/parcel"}


def _drop_into(place: Place) -> Mapping[str, Callable[[], object]]:
    for folder in ("in", "orders", "notes"):
        (place.path / folder).mkdir(exist_ok=True)

    def put(name: str, content: str) -> Callable[[], object]:
        def change() -> None:
            place.write(name.format(secrets.token_hex(4)), content.replace("{}", secrets.token_hex(4)))

        for _ in range(3):  # so that a poll has several pages
            change()
        return change

    return {
        "rows": put("in/{}.csv", "sku,count\n{},12.50\nMUG,3\n"),
        "orders": put("orders/{}.csv", "order,sku,count\n1,{},2\n2,MUG,1\n1,TEE,7\n"),
        "parcels": put(
            "notes/{}.xml", "<notes><parcel><id>{}</id><lines><line><n>3</n></line></lines></parcel></notes>"
        ),
    }


def over_a_folder(request: pytest.FixtureRequest) -> Adapter:
    path: Path = request.getfixturevalue("tmp_path")
    place = Place(f"file://{path}", None, path)
    connector = place.drop(rows=ROWS, orders=GATHERED, parcels=PARCELS)
    gone = connector.model_copy(update={"url": f"file://{path}/gone"})
    return Adapter(connector, gone, [], _drop_into(place))


def over_sftp(request: pytest.FixtureRequest) -> Adapter:
    place: Place = request.getfixturevalue("sftp_place")()
    connector = place.drop(rows=ROWS, orders=GATHERED, parcels=PARCELS)
    gone = connector.model_copy(update={"url": f"sftp://warehouse@127.0.0.1:{free_port()}/"})
    assert place.password is not None
    return Adapter(connector, gone, [place.password], _drop_into(place))


def delivery(entity: str, key: str, payload: Mapping[str, Any]) -> Delivery:
    return Delivery(
        delivery_id=next(numbers),
        flow=f"{entity}_out",
        entity=entity,
        key=key,
        version=1,
        action="upsert",
        payload=payload,
        remote_id=None,
        idempotency_key=f"{entity}_out/{key}/1",
    )


def shop(request: pytest.FixtureRequest) -> Adapter:
    mock: ShopifyMock = request.getfixturevalue("shopify_mock")
    skus = [sku for sku, *_ in CATALOGUE]
    mock.post("/sandbox/prices", {"list": "US", "sku": skus[10], "amount": "9.99"})

    def stock_moves() -> None:
        mock.set_stock(skus[0], mock.stock(skus[0])["available"] + 1)

    def variant_comes() -> None:
        mock.post("/sandbox/variants", {"sku": secrets.token_hex(4), "title": "New", "price": "9.00", "available": 1})

    def parcels() -> Sequence[Delivery]:
        made = []
        for sku in skus[1:3]:
            order, number = mock.place((sku, 2)), secrets.token_hex(6).upper()
            key = f"3PL-{number}"
            payload = {
                "fulfilment_number": key,
                "order_number": f"SHOP-{order['id']}",
                "order_remote_id": str(order["id"]),
                "tracking_number": number,
                "carrier": "DHL",
                "shipped_at": datetime.now(UTC).isoformat(),
                "lines": [{"sku": sku, "quantity": "1"}],
            }
            made.append(delivery("fulfilments", key, payload))
        return made

    def quantities() -> Sequence[Delivery]:
        return [
            delivery("sellable", sku, {"sku": sku, "sellable": str(mock.stock(sku)["available"] + 7)})
            for sku in skus[5:8]
        ]

    def prices() -> Sequence[Delivery]:
        cents = 1 + next(numbers)
        return [
            delivery(
                "selling_prices",
                f"US/{sku}",
                {"price_list": "US", "sku": sku, "from_quantity": "1", "amount": f"9.{cents:02}", "currency": "USD",
                 "includes_tax": "false", "countries": "US"},
            )
            for sku in skus[8:10]
        ]  # fmt: skip

    def effects(one: Delivery) -> int:
        if one.entity == "selling_prices":
            return int(mock.get("/sandbox/prices").get(one.key) == f"{one.payload['amount']} USD")
        if one.entity == "sellable":
            return int(mock.stock(one.payload["sku"])["available"] == int(one.payload["sellable"]))
        parcels = mock.order(int(one.payload["order_remote_id"]))["fulfillments"]
        return sum(one.payload["tracking_number"] in parcel["tracking_numbers"] for parcel in parcels)

    return Adapter(
        connector=mock.connector(),
        unreachable=mock.connector(base_url=f"http://127.0.0.1:{free_port()}"),
        secrets=[mock.client_secret, mock.secret],
        polls={
            "orders_read": lambda: mock.place((skus[0], 1)),
            "refunds_read": lambda: mock.refund(mock.place((skus[0], 1))["id"], "1.00"),
            "variants": variant_comes,
            "inventory": stock_moves,
        },
        snapshots=["orders_read", "refunds_read", "variants", "inventory", "price_lists"],
        deliveries={"fulfilments": parcels, "sellable": quantities, "selling_prices": prices},
        effects=effects,
    )


def order_delivery(number: str, pieces: Mapping[str, int], action: str = "upsert") -> Delivery:
    """An order as the ERP is sent it."""
    payload = {
        "order_number": number,
        "number": f"#{number}",
        "placed_at": "2026-03-01T10:00:00+01:00",
        "currency": "EUR",
        "email": f"{number.lower()}@example.com",
        "name": "Grace Example",
        "street": "1 Sample Street",
        "city": "Hamburg",
        "postcode": "20095",
        "country": "DE",
        "status": "paid",
        "lines": [
            {"line_id": sku, "sku": sku, "quantity": str(quantity), "unit_price": "10.00", "tax_rate": "0.20"}
            for sku, quantity in pieces.items()
        ],
    }
    return replace(delivery("orders", number, payload), action=action)


def erp(request: pytest.FixtureRequest) -> Adapter:
    server: RunningTryton = request.getfixturevalue("tryton")
    skus = [sku for sku, *_ in CATALOGUE]

    def sale_comes() -> None:
        server.connector.deliver([order_delivery(f"SUITE-{secrets.token_hex(4)}", {skus[2]: 1})])

    def product_comes() -> None:
        add_products(server.rpc, [(f"NEW-{secrets.token_hex(4)}", "New", "9.00")])

    def goods_leave() -> None:
        number = f"SUITE-{secrets.token_hex(4)}"
        server.connector.deliver([order_delivery(number, {skus[3]: 1})])
        until = time.monotonic() + 20
        clerk = Clerk(server.rpc)
        while not clerk.waits(number) and time.monotonic() < until:
            time.sleep(0.1)
        ship(server.rpc, number, tracking=secrets.token_hex(4))

    def orders() -> Sequence[Delivery]:
        return [order_delivery(f"SUITE-{secrets.token_hex(4)}", {skus[0]: 2, skus[1]: 1}) for _ in range(3)]

    def effects(one: Delivery) -> int:
        domain = [("reference", "=", one.key), ("state", "!=", "cancelled")]
        return int(server.rpc.call("sale.sale.search_count", domain))

    return Adapter(
        connector=server.connector,
        unreachable=server.connector_at(f"http://127.0.0.1:{free_port()}"),
        secrets=[server.password],
        polls={"sales": sale_comes, "products": product_comes, "stock": goods_leave, "shipments": goods_leave},
        snapshots=["sales", "products", "stock"],
        deliveries={"orders": orders},
        effects=effects,
    )


def payment_service(request: pytest.FixtureRequest) -> Adapter:
    server: RunningStripe = request.getfixturevalue("stripe_server")

    def refund_delivery(payment: str, amount: str) -> Delivery:
        key = f"SHOP-{secrets.token_hex(6)}"
        payload = {"refund_number": key, "payment_number": f"STRIPE-{payment}", "amount": amount, "currency": "EUR"}
        return delivery("refunds", key, payload)

    def refunds() -> Sequence[Delivery]:
        return [refund_delivery(server.pay(2000), "12.50") for _ in range(2)]

    def effects(one: Delivery) -> int:
        made = server.refunds_of(one.payload["payment_number"].removeprefix("STRIPE-"))
        return sum(refund["metadata"].get("refund_number") == one.key for refund in made)

    return Adapter(
        connector=server.connector,
        unreachable=server.connector.model_copy(update={"base_url": f"http://127.0.0.1:{free_port()}"}),
        secrets=[server.api_key, server.secret],
        polls={"payment_intents": lambda: server.pay(1000), "refunds": lambda: server.refund(server.pay(900), 100)},
        snapshots=["payment_intents", "refunds"],
        deliveries={"refunds": refunds},
        effects=effects,
    )


ADAPTERS: dict[str, Callable[[pytest.FixtureRequest], Adapter]] = {
    "folder": over_a_folder,
    "sftp": over_sftp,
    "shopify": shop,
    "stripe": payment_service,
    "tryton": erp,
}
TAKERS = ("shopify", "stripe", "tryton")  # who takes deliveries, and gives snapshots

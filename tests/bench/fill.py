"""Orders for benches: what the inbox would hold after as many webhooks."""

import json
from decimal import Decimal
from typing import Any

import psycopg

from resources.host.text import as_payload, hash_of
from tests.fixtures_world import line, order

PIECE = 20_000
RETOLD = 20  # one message in so many is the second about its order


def fill(url: str, *, first: int, count: int) -> None:
    """Orders by COPY: what the inbox would hold after as many webhooks."""
    columns = "system, stream, arrived_by, remote_id, body_hash, is_versioned, payload, body"
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for start in range(first, first + count, PIECE):
            with cursor.copy(f"copy concord.inbox ({columns}) from stdin") as copy:
                for position in range(start, min(start + PIECE, first + count)):
                    number = position - position % RETOLD if position % RETOLD == 1 else position
                    told = shop_order(number, position)
                    body = json.dumps(told).encode()
                    copy.write_row(
                        ("shopify", "orders", "webhook", str(number), hash_of(body), "t", as_payload(body), b"")
                    )


def shop_order(number: int, position: int) -> dict[str, Any]:
    price = price_of(number)
    lines = [line(10 * number + n, f"SKU-{(number + n) % 500}", n + 1, price=str(price)) for n in range(3)]
    total, tax = str(6 * price), str(tax_of(number))
    return order(number, position % 600 / 60, lines, current_total_price=total, current_total_tax=tax)


def price_of(number: int) -> Decimal:
    """Of each piece; an order has one, two and three of three SKUs, and a fifth of its price is tax on top of it."""
    return number % 900 + Decimal("0.60")


def tax_of(number: int) -> Decimal:
    return sum(((pieces * price_of(number) / 6).quantize(Decimal("0.01")) for pieces in (1, 2, 3)), Decimal(0))

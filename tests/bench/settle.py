"""How long it takes to judge, settle and want a million messages, a thousand new ones, and to reconcile a million records.

`python -m tests.bench.settle [--messages 1000000]`, on an embedded Postgres, beside bare DuckDB reading the same messages.
Every message is an order with its lines as Shopify posts it; one in twenty speaks of an order that was told before. The ERP
tells ten fields of each sale, and all ten are compared. A step begins with modules and project loaded, as runs do.
"""

import argparse
import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from pipelines.compiler.generate import fingerprint, write
from pipelines.language.schema import IntegrationMap, load_map
from pipelines.stages.settle import PROJECT, manifest, run_dbt, sync
from resources.host import settings
from resources.host.embedded_postgres import Server
from resources.host.text import as_payload, hash_of
from resources.lake import lake
from resources.store.migrate import migrate
from resources.store.store import Store
from tests.fixtures_postgres import free_port
from tests.fixtures_world import at, line, order

PIECE = 20_000
RETOLD = 20  # one message in so many is the second about its order
DIFFERING = 20  # one ERP sale in so many has another total
AMOUNTS = ("tax_total", "discount_total", "shipping_total")
OTHERS = ("number", "prices_include_tax", "email", "city", "country")  # and total and currency, which it tells anyhow


def fill(url: str, *, first: int, count: int, erp: bool) -> None:
    """Orders (and the ERP's sales of them) by COPY: what the inbox would hold after as many webhooks and polls."""
    columns = "system, stream, arrived_by, remote_id, body_hash, is_versioned, payload, body"
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for start in range(first, first + count, PIECE):
            with cursor.copy(f"copy concord.inbox ({columns}) from stdin") as copy:
                for position in range(start, min(start + PIECE, first + count)):
                    number = position - position % RETOLD if position % RETOLD == 1 else position
                    told = sale(number) if erp else shop_order(number, position)
                    body = json.dumps(told).encode()
                    stream = ("tryton", "sales", "snapshot") if erp else ("shopify", "orders", "webhook")
                    copy.write_row((*stream, str(number), hash_of(body), "t", as_payload(body), b""))


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


def sale(number: int) -> dict[str, Any]:
    total = 6 * price_of(number) + (1 if number % DIFFERING == 5 else 0)
    return {
        "id": number, "number": f"#{1000 + number}", "reference": f"SHOP-{number}", "state": "confirmed",
        "currency": "EUR", "total_amount": str(total), "tax_total": str(tax_of(number)), "discount_total": "0.00",
        "shipping_total": "0.00", "prices_include_tax": True, "email": f"customer{number}@example.com", "city": "Paris",
        "country": "FR", "write_date": at(20),
    }  # fmt: skip


def map_of_ten() -> IntegrationMap:
    """The map, in which the ERP tells ten fields of each order and the proof compares them."""
    the_map = load_map()
    says = the_map.systems["tryton"].streams["sales"].says["orders"]
    says.fields.update({name: f"payload ->> '$.{name}'" for name in (*AMOUNTS, *OTHERS)})
    proof = the_map.entities["orders"].reconcile["storefront_and_erp"]
    proof.fields.update(dict.fromkeys(AMOUNTS, 0.01) | dict.fromkeys(OTHERS, "exact"))
    return the_map


def child(verb: str, url: str, folder: str) -> dict[str, float]:
    """One measured step in a process of its own, as a run is: seconds and peak memory."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.settle", "--step", verb],
        env={**os.environ, "CONCORD_DATABASE_URL": url, "CONCORD_LAKE": f"{folder}/lake", "BENCH_PROJECT": f"{folder}/dbt"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-4000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def step(verb: str) -> None:
    """Run one step here and print what it took."""
    store = Store(url=settings.database_url())
    lake.prepare(store.url, settings.lake())
    the_map, project = map_of_ten(), Path(os.environ["BENCH_PROJECT"])
    manifest(project)
    fingerprint(the_map, "orders")
    importlib.import_module("pandas")
    built: list[Any] = []
    began = time.perf_counter()
    if verb == "reconcile":
        built = run_dbt(["run", "--select", "tag:reconcile_orders"], project)
    elif verb == "bare":
        bare(store.url)
    else:
        built = sync(verb, store=store, the_map=the_map, run_id="bench", project=project, log=lambda _: None).built
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, **{node.name: node.seconds for node in built}}))


def judging(built: dict[str, float]) -> float:
    """Seconds in which messages were spelled, cast and held against the contract."""
    return sum(seconds for name, seconds in built.items() if name.startswith("stg_"))


def settling(built: dict[str, float]) -> float:
    """Seconds from judged messages to records, conflicts and books."""
    return sum(
        built.get(name, 0)
        for name in ("touched_orders", "orders", "order_lines", "orders_conflicts", "orders_verdicts")
    )


def bare(url: str) -> None:
    """DuckDB alone: read the same messages from the same lake and take 20 places out of each."""
    with lake.reading(url, settings.lake()) as db:
        places = ", ".join(f"'$.{name}'" for name in list(order())[:20])
        db.execute(
            f"select count(heard[1]), max(heard[2]), max(heard[20]) from (select json_extract(payload, [{places}]) as heard from landing_orders)"
        )


def snapshot(url: str) -> None:
    """Both sides as they were last told: every record points at its newest message."""
    with psycopg.connect(url) as connection:
        connection.execute("set search_path to concord")
        for system, stream in (("shopify", "orders"), ("tryton", "sales")):
            row = connection.execute(
                "insert into snapshots (system, stream, finished_at) values (%s, %s, now()) returning snapshot_id",
                (system, stream),
            ).fetchone()
            assert row
            connection.execute(
                "insert into snapshot_records select %s, remote_id, max(inbox_id) from inbox where system = %s and stream = %s group by remote_id",
                (row[0], system, stream),
            )


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--messages", type=int, default=1_000_000)
    asked.add_argument("--step")
    told = asked.parse_args()
    if told.step:
        step(told.step)
        return
    settings.state_dir().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=settings.state_dir()))  # on the disk that `run` uses
    folder.chmod(0o755)
    server = Server(folder / "postgres", free_port(), is_fast=True)
    server.ensure()
    try:
        url = server.url("bench")
        migrate(url)
        shutil.copytree(PROJECT, folder / "dbt")
        write(map_of_ten(), folder / "dbt")
        measure(url, str(folder), told.messages)
    finally:
        server.stop()
        shutil.rmtree(folder)


def measure(url: str, folder: str, messages: int) -> None:
    lines: list[tuple[str, str]] = []
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into concord.inbox (system, stream, arrived_by, remote_id, body_hash, is_versioned, payload, body) "
            "select 'tryton', 'products', 'poll', n::text, md5(n::text) || md5(n::text), true, "
            "json_build_object('id', n::text, 'code', 'SKU-' || n, 'name', 'Product', 'list_price', '10.00', "
            "'write_date', '2026-11-20T00:00:00Z')::text, '' from generate_series(0, 499) as n"
        )
    child("products", url, folder)
    began = time.perf_counter()
    fill(url, first=0, count=messages, erp=False)
    print(f"filled {messages:,} messages in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    full = child("orders", url, folder)
    read = child("bare", url, folder)
    fill(url, first=messages, count=1000, erp=False)
    more = child("orders", url, folder)
    fill(url, first=0, count=messages, erp=True)
    heard = child("orders", url, folder)
    snapshot(url)
    proof = child("reconcile", url, folder)
    with lake.reading(url, f"{folder}/lake") as db:
        kinds = dict(db.execute("select kind, count(*) from reconcile_orders group by kind").fetchall())
    judged, settled = judging(full), settling(full)
    lines = [
        (f"{messages:,} messages with 3 lines each: judged", f"{judged:.1f} s"),
        ("settled, with books", f"{settled:.1f} s"),
        ("read from Postgres into the lake", f"{full['landing_orders']:.1f} s"),
        ("wanted", f"{full['wanted_orders']:.1f} s"),
        ("the whole run, enqueued", f"{full['seconds']:.1f} s, peak {full['peak_mb']:.0f} MB"),
        ("bare DuckDB taking 20 places out of the same messages", f"{read['seconds']:.1f} s"),
        ("judged and settled to bare", f"{(judged + settled) / read['seconds']:.1f}"),
        ("1,000 new messages: judged and settled", f"{judging(more) + settling(more):.1f} s"),
        ("the whole run, enqueued", f"{more['seconds']:.1f} s, peak {more['peak_mb']:.0f} MB"),
        (f"{messages:,} ERP messages on top", f"{heard['seconds']:.1f} s, peak {heard['peak_mb']:.0f} MB"),
        (
            f"reconciled, {messages:,} x {messages:,}, ten fields",
            f"{proof['reconcile_orders']:.1f} + {proof['snapshots_orders']:.1f} s, peak {proof['peak_mb']:.0f} MB {kinds}",
        ),
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"| {name:<{width}} | {value} |")


if __name__ == "__main__":
    main()

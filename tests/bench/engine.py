"""What one change costs on settled state: CPU of the process that settles, Postgres's beside it, as orders pile up.

`python -m tests.bench.engine [--settled 200000] [--more 1000]`, on an embedded Postgres whose commits wait for the disk. Orders have
three lines, and all rules of the map hold. The worker is warm: its statements are prepared, and were run twice.
"""

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from pipelines.language.schema import load_map
from pipelines.stages import sync
from resources.host.embedded_postgres import Server
from resources.host.text import as_payload, hash_of
from resources.store.migrate import migrate
from resources.store.store import Store
from tests.bench.fill import fill, shop_order
from tests.fixtures_postgres import free_port
from tests.fixtures_world import at

SKUS = 500
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_of_server(server: Server) -> float:
    """Seconds that the server's processes have used so far, those that ended included."""
    spent = 0
    for pid in server.processes():
        told = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        spent += sum(map(int, told[11:15]))
    return spent / TICKS


def keep(url: str, system: str, stream: str, by: str, remote_id: str, told: dict[str, Any]) -> None:
    body = json.dumps(told).encode()
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into concord.inbox (system, stream, arrived_by, remote_id, body_hash, is_versioned, payload, body) "
            "values (%s, %s, %s, %s, %s, true, %s, '')",
            [system, stream, by, remote_id, hash_of(body), as_payload(body)],
        )


def products(url: str) -> None:
    for n in range(SKUS):
        told = {
            "id": n,
            "code": f"SKU-{n}",
            "name": f"Product {n}",
            "list_price": "10.00",
            "salable": True,
            "active": True,
        }
        keep(url, "tryton", "products", "poll", str(n), {**told, "write_date": at(-600)})


def measured(server: Server, store: Store, entity: str, *, times: int, say: Any) -> dict[str, float]:
    """Medians of so many syncs of the entity, each after `say` has said something."""
    the_map, took = load_map(), []
    for turn in range(times + 2):
        say(turn)
        before, there, began = time.process_time(), cpu_of_server(server), time.perf_counter()
        done = sync.sync(entity, store=store, the_map=the_map, run_id="bench", log=lambda _: None)
        took.append((time.perf_counter() - began, time.process_time() - before, cpu_of_server(server) - there))
        assert done.batch, f"nothing was settled of {entity}"
    wall, cpu, postgres = (statistics.median(column) for column in zip(*took[2:], strict=True))
    return {"wall": wall, "cpu": cpu, "postgres": postgres}


def line(what: str, took: dict[str, float]) -> None:
    told = f"CPU {took['cpu'] * 1000:.0f} ms, Postgres's {took['postgres'] * 1000:.0f} ms, wall {took['wall'] * 1000:.0f} ms"
    print(f"| {what} | {told} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settled", type=int, default=200_000)
    parser.add_argument("--more", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(CONCORD_STATE=f"{folder}/state")
        server = Server(Path(folder) / "postgres", free_port())
        server.ensure()
        try:
            migrate(server.url("concord"))
            bench(server, server.url("concord"), asked.settled, asked.more)
        finally:
            server.stop()


def bench(server: Server, url: str, settled: int, more: int) -> None:
    store, the_map = Store(url=url), load_map()
    settle = lambda entity: sync.sync(entity, store=store, the_map=the_map, run_id="bench", log=lambda _: None)
    products(url)
    settle("products")
    fill(url, first=0, count=settled)
    before, began = time.process_time(), time.perf_counter()
    done = settle("orders")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    turns = done.batch.turns if done.batch else 0
    print("| on settled state in Postgres, commits wait for the disk | reached |\n|---|---|")
    print(f"| input | {settled:,} orders of three lines, {SKUS} products, all rules of the map |")
    print(
        f"| {settled:,} orders anew, in {turns} turns | CPU {time.process_time() - before:.0f} s, wall "
        f"{time.perf_counter() - began:.0f} s, peak {peak:.0f} MB |",
        flush=True,
    )

    def one(turn: int) -> None:
        number = settled + 10 + turn
        keep(url, "shopify", "orders", "webhook", str(number), shop_order(number, number))

    line(f"one new order on {settled:,}", measured(server, store, "orders", times=20, say=one))

    def many(turn: int) -> None:
        fill(url, first=settled + 1_000 + turn * more, count=more)

    line(f"{more:,} new orders on {settled:,}", measured(server, store, "orders", times=3, say=many))
    last = settle("orders")
    assert last.batch is None


if __name__ == "__main__":
    main()

"""How many wanted rows a second become deliveries, and how many a second couriers claim and record.

`python -m tests.bench.outbox [--rows 100000]`, on a durable embedded Postgres (fsync on). The destination answers at
once, so what remains is our own cost.
"""

import argparse
import functools
import resource
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.language.schema import Brake
from pipelines.stages.deliver import deliver
from resources.connectors.connector import Connector, Delivery, Outcome, Result
from resources.host.embedded_postgres import Server
from resources.host.settings import state_dir
from resources.store.migrate import migrate
from resources.store.outbox import enqueue
from resources.store.store import Store
from tests.fixtures_postgres import free_port
from tests.wanting import FLOW, SCHEMA, a_map, row, select

COURIER_SECONDS = 15.0  # for each number of couriers, out of the backlog that the enqueues left
BATCH = 50  # what the map's `limits.batch` says by default


class Willing(Connector):
    """A destination that applies everything at once."""

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return [Outcome(one.delivery_id, Result.APPLIED, remote_id=f"R{one.key}") for one in deliveries]


def wanted(rows: int, status: str, *, touched: int | None = None) -> pa.Table:
    """Rows of about 400 bytes, as an order's payload has."""
    filler = "x" * 340
    told: dict[str, list[Any]] = {name: [value] * rows for name, value in row("", status).items()}
    told["key"] = [f"SHOP-{number:08}" for number in range(rows)]
    told["payload"] = [
        f'{{"order_number":"{key}","status":"{status if touched is None or number < touched else "paid"}","x":"{filler}"}}'
        for number, key in enumerate(told["key"])
    ]
    return pa.table([pa.array(told[name], SCHEMA.field(name).type) for name in SCHEMA.names], schema=SCHEMA)


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def put(store: Store, table: pa.Table) -> None:
    with store.transaction() as connection:
        brakes = {FLOW: Brake(rows=10_000_000)}
        enqueue(connection, entity="orders", wanted=table.to_reader(20_000), brakes=brakes, run_id="bench")


def carry(store: Store, couriers: int) -> None:
    the_map = a_map(limits={"batch": BATCH, "at_once": couriers})
    threads = [
        threading.Thread(
            target=deliver,
            args=(store, the_map, "erp", Willing()),
            kwargs={"run_id": f"bench {number}", "deadline_seconds": COURIER_SECONDS},
        )
        for number in range(couriers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    state_dir().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=state_dir()))  # on the disk that `run` uses, not in memory
    folder.chmod(0o755)
    server = Server(folder / "postgres", free_port())
    try:
        server.ensure()
        migrate(server.url("bench"))
        store = Store(url=server.url("bench"))
        told: list[tuple[str, int, float]] = []
        told.append(("enqueue, all new", rows, timed(lambda: put(store, wanted(rows, "paid")))))
        told.append(("enqueue, nothing changed", rows, timed(lambda: put(store, wanted(rows, "paid")))))
        few = max(1, rows // 20)
        told.append(
            (f"enqueue, {few:,} changed", rows, timed(lambda: put(store, wanted(rows, "shipped", touched=few))))
        )
        small = wanted(1_000, "refunded")
        told.append(("enqueue of 1,000, all changed", 1_000, timed(lambda: put(store, small))))
        for couriers in (1, 2):
            before = applied(store)
            seconds = timed(functools.partial(carry, store, couriers))
            what = f"claim, apply, record; {couriers} courier(s), batches of {BATCH}"
            told.append((what, applied(store) - before, seconds))
        store.engine.dispose()
    finally:
        server.stop()
        shutil.rmtree(folder)
    for what, count, seconds in told:
        print(f"{what:<60} {count:>9,} in {seconds:6.2f} s  {count / seconds:>9,.0f}/s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory of this process':<60} {peak:>9,.0f} MB")


def applied(store: Store) -> int:
    return int(select(store, "select count(*) from outbox where status = 'applied'")[0])


if __name__ == "__main__":
    main()

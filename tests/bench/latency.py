"""From webhook received to applied in the ERP, through Dagster, with the whole sandbox running.

`python -m tests.bench.latency [--seconds 120]`: at one order a second, and at 80 % of the rate at which the ERP itself takes
orders in batches, measured in the same run: a backlog is built while the ERP is stopped, then drained.
"""

import argparse
import os
import signal
import tempfile
import time
from pathlib import Path

import requests
import sqlalchemy as sa

from resources.sandbox.tryton import environment_folder
from resources.store import engine_for
from tests.test_run import Concord

LAGS = """
select count(*) as orders,
       coalesce(percentile_cont(0.5) within group (order by extract(epoch from applied_at - received_at)), 0) as p50,
       coalesce(percentile_cont(0.95) within group (order by extract(epoch from applied_at - received_at)), 0) as p95
from concord.outbox
where flow = :flow and status = 'applied' and version = 1 and reason = 'new' and received_at > to_timestamp(:since)
"""
BACKLOG = 300  # orders
SETTLING = 30.0  # seconds at a new rate before it is measured


def lags(concord: Concord, flow: str, since: float) -> sa.RowMapping:
    with engine_for(concord.server.url("concord")).connect() as connection:
        return connection.execute(sa.text(LAGS), {"flow": flow, "since": since}).mappings().one()


def at_rate(concord: Concord, rate: float, seconds: float) -> list[tuple[str, str]]:
    """Let orders come at that rate for so long, and say how long each took."""
    set_rate(concord, rate)
    time.sleep(SETTLING)
    since = time.time()
    time.sleep(seconds)
    told = lags(concord, "orders_to_erp", since)
    stock = lags(concord, "sellable_to_storefront", since)
    return [
        (f"orders at {rate:.1f}/s for {seconds:.0f} s: received to applied, p50", f"{told['p50']:.1f} s ({told['orders']} orders)"),
        ("p95", f"{told['p95']:.1f} s"),
        ("sellable stock meanwhile, p95", f"{stock['p95']:.1f} s ({stock['orders']})"),
    ]  # fmt: skip


def set_rate(concord: Concord, rate: float) -> None:
    url = f"http://127.0.0.1:{concord.ports['SHOPIFY']}/sandbox/traffic"
    requests.post(url, json={"rate": rate, "seed": 1}, timeout=10).raise_for_status()


def erp_rate(concord: Concord) -> float:
    """Orders a second that the ERP takes when it has a backlog: it is stopped, orders come in, it goes on."""
    pid = concord.pid_of(str(environment_folder() / "bin" / "trytond"))
    os.kill(pid, signal.SIGSTOP)
    before = concord.count("select count(*) from concord.outbox where flow = 'orders_to_erp'")
    set_rate(concord, 10)
    while concord.count("select count(*) from concord.outbox where flow = 'orders_to_erp'") < before + BACKLOG:
        time.sleep(1)
    set_rate(concord, 0)
    applied = "select count(*) from concord.outbox where flow = 'orders_to_erp' and status = 'applied'"
    os.kill(pid, signal.SIGCONT)
    start, began = concord.count(applied), time.monotonic()
    while concord.count(applied) < start + BACKLOG * 0.9:
        time.sleep(1)
    return BACKLOG * 0.9 / (time.monotonic() - began)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--seconds", type=float, default=120)
    told = asked.parse_args()
    concord = Concord(Path(tempfile.mkdtemp(prefix="concord-latency-")))
    began = time.monotonic()
    concord.start("--rate", "1")
    try:
        first = concord.wait_for(r"first order applied in the ERP after ([0-9.]+) s", 600)
        lines = [("from `concord run` to the first order standing in the ERP", f"{first[1]} s")]
        lines += at_rate(concord, 1, told.seconds)
        rate = erp_rate(concord)
        lines.append(("the ERP takes a backlog at", f"{rate:.1f} orders/s"))
        lines += at_rate(concord, 0.8 * rate, told.seconds)
        lines.append(("all of it", f"{time.monotonic() - began:.0f} s"))
    finally:
        concord.end()
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"| {name:<{width}} | {value} |")


if __name__ == "__main__":
    main()

"""From webhook received to applied in the ERP, through Dagster, with the whole sandbox running.

`python -m tests.bench.latency [--seconds 120]`: at one order a second, first while the people at the ERP's desk and in the
warehouse rest, then while they ship; then at 80 % of the rate at which the ERP takes a backlog, measured in the same run.
Every system runs on this machine at the same time.
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests
import sqlalchemy as sa

from resources.sandbox.traffic import order_content
from resources.store.store import engine_for
from tests.test_run import Concord

LAGS = """
select count(*) as orders,
       coalesce(percentile_cont(0.5) within group (order by extract(epoch from applied_at - received_at)), 0) as p50,
       coalesce(percentile_cont(0.95) within group (order by extract(epoch from applied_at - received_at)), 0) as p95
from concord.outbox
where flow = :flow and status = 'applied' and reason in ('new', 'changed') and received_at > to_timestamp(:since)
"""
RATE = """
select 0.8 * count(*) / extract(epoch from
       percentile_disc(0.9) within group (order by applied_at) - percentile_disc(0.1) within group (order by applied_at)) as rate
from concord.outbox
where flow = 'orders_to_erp' and status = 'applied' and version = 1 and received_at > to_timestamp(:since)
"""
WAITING = "select count(*) from concord.outbox where flow = 'orders_to_erp' and status in ('due', 'sending', 'unknown')"
PLACED = "select count(*) from concord.inbox where system = 'shopify' and stream = 'orders'"
BACKLOG = 300  # orders
SETTLING = 30.0  # seconds at a new rate before it is measured
LONGEST = 300.0  # seconds that anything is waited for


class Sandbox:
    """A running Concord with its sandbox, its levers and its figures."""

    def __init__(self, concord: Concord) -> None:
        self.concord = concord
        self.shop = f"http://127.0.0.1:{concord.ports['SHOPIFY']}/sandbox"

    def ask(self, sql: str, **values: object) -> sa.RowMapping:
        with engine_for(self.concord.server.url("concord")).connect() as connection:
            return connection.execute(sa.text(sql), values).mappings().one()

    def pull(self, lever: str, **wish: object) -> None:
        requests.post(f"{self.shop}/{lever}", json=wish, timeout=30).raise_for_status()

    def wait(self, sql: str, wanted: Callable[[int], bool]) -> None:
        deadline = time.monotonic() + LONGEST
        while not wanted(self.concord.count(sql)) and time.monotonic() < deadline:
            time.sleep(1)

    def desks(self, number: signal.Signals) -> None:
        """Let those who ship rest, or go on."""
        os.kill(self.concord.pid_of("-m", "resources.sandbox.warehouse"), number)

    def at_rate(self, rate: float, seconds: float, what: str) -> None:
        """Let orders come at that rate for so long, and say how long each took."""
        self.pull("traffic", rate=rate, seed=1)
        time.sleep(SETTLING)
        since = time.time()
        time.sleep(seconds)
        self.say(f"orders at {rate:.1f}/s for {seconds:.0f} s, {what}", since)

    def say(self, what: str, since: float) -> None:
        for flow, name in (("orders_to_erp", what), ("sellable_to_storefront", "sellable stock meanwhile")):
            told = self.ask(LAGS, flow=flow, since=since)
            tell(f"{name}: received to applied", f"p50 {told['p50']:.1f} s, p95 {told['p95']:.1f} s ({told['orders']})")

    def backlog(self) -> float:
        """Orders a second that the ERP takes when it has a backlog: the shop is silent, sells, and tells all at once."""
        self.pull("traffic", rate=0, seed=1)
        self.pull("webhooks", is_posting=False)
        known = self.concord.count(PLACED)
        for n in range(BACKLOG):
            self.pull("orders", **order_content(77, n + 1))
        since = time.time()
        self.pull("webhooks", is_posting=True)
        self.wait(PLACED, lambda placed: placed >= known + BACKLOG)
        time.sleep(SETTLING)  # the last of them is on its way to the ERP
        self.wait(WAITING, lambda waiting: waiting == 0)
        rate = float(self.ask(RATE, since=since - SETTLING)["rate"])
        self.say(f"a backlog of {BACKLOG} orders", since)
        tell("the ERP took it at", f"{rate:.1f} orders/s")
        return rate


def tell(name: str, value: str) -> None:
    print(f"| {name} | {value} |", flush=True)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--seconds", type=float, default=120)
    told = asked.parse_args()
    concord = Concord(Path(tempfile.mkdtemp(prefix="concord-latency-")))
    concord.start()
    try:
        first = concord.wait_for(r"first order applied in the ERP after ([0-9.]+) s", 600)
        tell("from `concord run` to the first order standing in the ERP, first start", f"{first[1]} s")
        sandbox = Sandbox(concord)
        sandbox.desks(signal.SIGSTOP)
        sandbox.at_rate(1, told.seconds, "nobody ships")
        rate = sandbox.backlog()
        sandbox.at_rate(0.8 * rate, told.seconds, "nobody ships")
        sandbox.pull("traffic", rate=0, seed=1)
        sandbox.wait(WAITING, lambda waiting: waiting == 0)
        sandbox.desks(signal.SIGCONT)
        sandbox.at_rate(1, told.seconds, "and all are shipped")
        concord.end()
        concord.start()
        again = concord.wait_for(r"first order applied in the ERP after ([0-9.]+) s", 600)
        tell("the same, later start", f"{again[1]} s")
    finally:
        concord.end()


if __name__ == "__main__":
    main()

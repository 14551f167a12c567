"""The bench's sender, a process of its own: posts go out when they are due, whether or not the door keeps up.

`python -m tests.bench.open_loop PORT RATE SECONDS` prints one line of JSON. A latency counts from the moment at which
its post was due, so a door that stalls is charged for every post that it made wait.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import resource
import sys
import time
from collections import deque

import uvloop

from tests.bench.order_bodies import order_body

CONNECTIONS = 64  # what a large sender keeps open
PATIENCE = 20.0  # seconds after the last post was due
SEED = 20260504
SHOP = "bench.myshopify.com"
SECRET = "bench"


def signed(body: bytes) -> str:
    """As Shopify signs: HMAC-SHA256 of the raw body, in base64."""
    return base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()


class Line(asyncio.Protocol):
    """One connection kept alive; one post at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.due = 0.0
        self.heard = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.load.idle.append(self)

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if not self.heard.endswith(b"}"):  # the head came alone
            return
        self.load.answers.append((time.perf_counter() - self.due) * 1000)
        status, self.heard = self.heard[9:12], b""
        self.load.statuses[status] = self.load.statuses.get(status, 0) + 1
        self.load.idle.append(self)
        self.load.send_what_waits()

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost += 1


class Load:
    """The posts, when each is due, and what was answered."""

    def __init__(self, port: int, rate: float, seconds: float) -> None:
        dice = random.Random(SEED)
        self.port = port
        self.seconds = seconds
        self.dues: list[float] = []
        at = dice.expovariate(rate)
        while at < seconds:  # senders do not agree with one another: a Poisson process
            self.dues.append(at)
            at += dice.expovariate(rate)
        self.posts = [self._post(number, dice) for number in range(len(self.dues))]
        self.idle: deque[Line] = deque()
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.answers: list[float] = []
        self.statuses: dict[bytes, int] = {}
        self.lost = 0

    def _post(self, number: int, dice: random.Random) -> bytes:
        body = order_body(10_000_000 + number, dice)
        return (
            f"POST /webhooks/shopify/orders/create HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nX-Shopify-Topic: orders/create\r\nX-Shopify-Shop-Domain: {SHOP}\r\n"
            f"X-Shopify-Event-Id: {number}\r\nX-Shopify-Hmac-Sha256: {signed(body)}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def send_what_waits(self) -> None:
        while self.waiting and self.idle:
            line = self.idle.popleft()
            line.due, post = self.waiting.popleft()
            line.transport.write(post)

    async def run(self) -> dict[str, object]:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Line(self), "127.0.0.1", self.port)
        await asyncio.sleep(0.5)
        if len(self.idle) < CONNECTIONS:
            sys.exit(f"only {len(self.idle)} of {CONNECTIONS} connections opened")
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        sent = 0
        while sent < len(self.dues):
            now = time.perf_counter() - start
            while sent < len(self.dues) and self.dues[sent] <= now:
                self.waiting.append((start + self.dues[sent], self.posts[sent]))
                sent += 1
            self.send_what_waits()
            await asyncio.sleep(0.001)
        while len(self.answers) < sent and time.perf_counter() - start < self.seconds + PATIENCE:
            await asyncio.sleep(0.005)
        took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
        ordered = sorted(self.answers) or [0.0]
        return {
            "due": len(self.dues),
            "answered": len(self.answers),
            "statuses": {status.decode(): many for status, many in self.statuses.items()},
            "lost_connections": self.lost,
            "per_second": len(self.answers) / took,
            "mean_body": sum(map(len, self.posts)) / len(self.posts),
            "cpu": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / took,
            **{f"p{n:g}": ordered[min(int(len(ordered) * n / 100), len(ordered) - 1)] for n in (50, 95, 99, 99.9)},
            "max": ordered[-1],
        }


if __name__ == "__main__":
    load = Load(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
    print(json.dumps(uvloop.run(load.run())))

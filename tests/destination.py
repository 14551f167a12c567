"""A destination for the tests: a real HTTP server that can misbehave in every way we know, and the connector that speaks to it."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

import requests
from urllib3.exceptions import MaxRetryError

from resources.connectors.connector import (
    BatchRefused,
    Connector,
    Delivery,
    Outcome,
    Result,
    Unreachable,
    one_by_one_where_needed,
)


class Destination:
    """What the server holds, everything that was ever applied to it, and how it is to misbehave."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.records: dict[str, Any] = {}  # key -> what it holds; a cancelled record is None
        self.applied: list[tuple[str, int, str]] = []  # (key, version, action), in the order of application
        self.asked: list[str] = []  # idempotency keys that were looked up
        self.batches: list[list[str]] = []
        self.hangs = 0  # times that it applies a batch and answers too late
        self.drops = 0  # times that it applies a batch and cuts the connection
        self.swallows = 0  # times that it applies nothing and cuts the connection
        self.refused: set[str] = set()  # keys that it refuses one by one
        self.poison: set[str] = set()  # keys for which it refuses the whole batch
        self.busy: list[float] = []  # Retry-After of the next answers
        self.broken = 0  # times that it answers 503
        self.slowness = 0.0  # seconds per batch
        self.lateness = 1.0  # seconds that a late answer takes
        self.server: ThreadingHTTPServer | None = None
        self.place: socket.socket | None = None  # the port, kept while nobody listens on it
        self.port = 0

    def start(self) -> None:
        if self.place:
            self.place.close()
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler_of(self))
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Be down: nobody listens on the port, and nobody else can take it."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None
            self.place = socket.socket()
            self.place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.place.bind(("127.0.0.1", self.port))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def versions_of(self, key: str) -> list[int]:
        return [version for applied, version, _ in self.applied if applied == key]

    def take(self, batch: list[dict[str, Any]]) -> tuple[int, dict[str, str], Any]:
        """Apply a posted batch; status, headers and body of the answer."""
        with self.lock:
            self.batches.append([record["key"] for record in batch])
            if self.busy:
                return 429, {"Retry-After": str(self.busy.pop(0))}, {}
            if self.broken:
                self.broken -= 1
                return 503, {}, {}
            if self.poison & {record["key"] for record in batch}:
                return 422, {}, {"error": "one of these records cannot be read"}
            if self.swallows:
                self.swallows -= 1
                raise ConnectionAbortedError
            answers = [self.apply(record) for record in batch]
            if self.drops:
                self.drops -= 1
                raise ConnectionAbortedError
            is_late = self.hangs > 0
            self.hangs -= is_late
        time.sleep(self.lateness if is_late else self.slowness)
        return 200, {}, answers

    def apply(self, record: dict[str, Any]) -> dict[str, Any]:
        key = record["key"]
        if key in self.refused:
            return {"error": "the postcode is too long"}
        self.applied.append((key, record["version"], record["action"]))
        held = self.records.get(key) or {}  # several flows may tell of one record, each its own fields
        self.records[key] = held | record["payload"] if record["action"] == "upsert" else None
        return {"id": record["id"] or f"R-{key}"}  # a record that began here keeps the id that it has here


def handler_of(destination: Destination) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, headers: dict[str, str], body: Any) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_POST(self) -> None:
            batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self.answer(*destination.take(batch))
            except OSError:  # it cuts the connection, or the caller did not wait
                self.close_connection = True

        def do_GET(self) -> None:
            key, version = unquote(self.path.removeprefix("/")).rsplit("/", 1)
            with destination.lock:
                destination.asked.append(f"{key}/{version}")
                is_there = any(applied[:2] == (key, int(version)) for applied in destination.applied)
            self.answer(200, {}, {"id": f"R-{key}" if is_there else None})

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@contextmanager
def running_destination() -> Iterator[Destination]:
    destination = Destination()
    destination.start()
    try:
        yield destination
    finally:
        destination.stop()
        if destination.place:
            destination.place.close()


class HttpDestination(Connector):
    """Speaks to that server. A refused connection is Unreachable; a late or broken answer is requests' own exception."""

    base_url: str
    timeout: float = 20.0

    def deliver(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        return one_by_one_where_needed(deliveries, self.send)

    def send(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        records = [
            {
                "key": one.key,
                "id": one.remote_id,
                "version": one.version,
                "action": one.action,
                "payload": dict(one.payload),
            }
            for one in deliveries
        ]
        answer = self.ask("POST", "/", json=records)
        if answer.status_code == 422:
            raise BatchRefused(answer.json()["error"])
        if answer.status_code == 429:
            wait = float(answer.headers["Retry-After"])
            return [
                Outcome(one.delivery_id, Result.RETRY, reason="too many requests", retry_after=wait)
                for one in deliveries
            ]
        if answer.status_code == 503:
            raise Unreachable("503 Service Unavailable")
        return [
            Outcome(one.delivery_id, Result.REFUSED, reason=told["error"])
            if "error" in told
            else Outcome(one.delivery_id, Result.APPLIED, remote_id=told["id"])
            for one, told in zip(deliveries, answer.json(), strict=True)
        ]

    def find(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        outcomes = []
        for one in deliveries:
            found = self.ask("GET", f"/{quote(one.key)}/{one.version}").json()["id"]
            outcomes.append(Outcome(one.delivery_id, Result.APPLIED if found else Result.RETRY, remote_id=found))
        return outcomes

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        try:
            return requests.request(method, self.base_url + path, timeout=(5.0, self.timeout), **more)
        except requests.ConnectionError as problem:
            if problem.args and isinstance(problem.args[0], MaxRetryError):  # it was never connected
                raise Unreachable(f"{self.base_url} refused the connection") from problem
            raise

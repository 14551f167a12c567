"""The webhook door: verify what a system posts, commit it to the inbox, and only then say "got it"."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipelines.language.connectors import MissingSetting, connector_for
from pipelines.language.schema import MapProblem, System, load_map
from resources.connectors.connector import BadMessage, BadSignature, Connector
from resources.host import settings
from resources.host.http_server import PatientProtocol
from resources.host.sparing_log import Sparing
from resources.store import database
from resources.store.group_commit import PATIENCE, CannotBeKept, DatabaseDown, GroupCommit, QueueFull
from resources.store.store import Store
from resources.store.webhook_health import Tally, record

log = logging.getLogger("concord.door")

LARGEST_BODY = 5_000_000  # bytes; the largest order that Shopify posts is about 1 MB
READ_SECONDS = 20.0  # for a whole body: 250 KB/s for the largest
ANSWER_SECONDS = 4.5  # Shopify hangs up after 5
IN_FLIGHT = 4_000  # requests being read or waiting for their commit
BYTES_IN_FLIGHT = 256_000_000
LINGER_SECONDS = 2.0  # how long a refused sender may go on, so that it reads our answer and not a reset connection
SMALL_BODY = 65_536  # a refused body up to this size is read and forgotten, and its connection kept
KEEP_ALIVE_SECONDS = 75
RECORD_SECONDS = 60.0
UNKNOWN_ADDRESS = "no system of the map posts this topic here"
UNKNOWN_TOPIC = "unknown topic"  # the outcome of what a system signed and no stream names
LONGEST_TOPIC = 100  # characters
STRANGE_TOPICS = 100  # of one system that are counted by name
BACKLOG = 2_048  # connections that the kernel holds for us while we are busy
RETRY_SOON, RETRY_LATER = 2, 10  # seconds: the queue drains in two; a database that went needs longer


class Rejected(Exception):
    """The post is answered with a status and a reason, and nothing of it is kept."""

    def __init__(
        self, status: int, outcome: str, reason: str, *, detail: str = "", retry_after: int | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.outcome = outcome
        self.detail = detail  # for our log and not for the sender, who may be forging
        self.retry_after = retry_after


class Gone(Exception):
    """The sender hung up before its post was whole."""


class Door:
    """POST /webhooks/{system}/{topic} for the topics that the map names."""

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        topics: Collection[tuple[str, str]],
        store: Store,
        *,
        largest_body: int = LARGEST_BODY,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self.connectors = connectors
        self.topics = frozenset(topics)
        self.store = Store(url=store.url, patience=PATIENCE)
        self.largest_body = largest_body
        self.read_seconds = read_seconds
        self.tally = Tally()
        self.sparing = Sparing()
        self.strange_topics: dict[str, frozenset[str]] = {}  # signed by a system, and named by no stream of it
        self.started_at = time.time()
        self.in_flight = 0
        self.bytes_in_flight = 0
        self.commits: GroupCommit
        self._probed: tuple[float, str | None] = (-1.0, None)
        self._probing = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.commits = GroupCommit(self.store)
        self.commits.start()
        is_closing = asyncio.Event()
        recorder = asyncio.create_task(self._record_until(is_closing))
        yield
        await self.commits.stop()
        is_closing.set()
        await recorder

    async def receive_post(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, whatever its method, from its first byte to our answer's last."""
        began = time.perf_counter()
        place = scope.get("path_params", {})  # empty for an address that is no webhook's at all
        system, topic = place.get("system", ""), place.get("topic", "").removesuffix("/")
        headers = Headers(scope=scope)
        size = 0
        self.in_flight += 1
        try:
            self._judge_head(scope["method"], system, topic, headers)
            body = await self._read(receive, system, topic)
            size = len(body)
            if (system, topic) not in self.topics:
                raise self._stranger(system, topic, headers, body)
            is_new = await self._keep(system, topic, headers, body)
        except Rejected as rejected:
            is_ours = (system, topic) in self.topics
            log.warning(
                "rejected %s from %s: %s (%d, %d bytes)",
                f"{system} {topic}" if is_ours else ascii(scope["path"])[:200],
                scope["client"][0] if scope["client"] else "?",
                rejected.detail or rejected,
                rejected.status,
                size,
                extra={"reason": f"{rejected.outcome} of {system if system in self.connectors else 'strangers'}"},
            )
            await self._refuse(rejected, headers, receive, send)
            outcome = rejected.outcome
            if not is_ours and outcome != UNKNOWN_TOPIC:
                system = topic = ""  # a stranger's addresses do not become rows of ours
        except Gone:
            outcome = "gone"
        else:
            outcome = "new" if is_new else "known"
            with contextlib.suppress(RuntimeError):  # its line has closed meanwhile: it will send again and be known
                await answer(send, 200, {"status": outcome})
        finally:
            self.in_flight -= 1
        self.tally.count(system, topic, outcome, (time.perf_counter() - began) * 1000)

    def _judge_head(self, method: str, system: str, topic: str, headers: Headers) -> None:
        is_named = (system, topic) in self.topics
        if system not in self.connectors or (method != "POST" and not is_named) or len(topic) > LONGEST_TOPIC:
            raise Rejected(404, "unknown address", UNKNOWN_ADDRESS)
        if method != "POST":
            raise Rejected(405, "wrong method", f"{method} instead of POST")
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > self.largest_body:
            raise Rejected(413, "too large", f"announces {declared} bytes; {self.largest_body} are allowed")
        if self.in_flight > IN_FLIGHT or self.bytes_in_flight > BYTES_IN_FLIGHT or self.commits.is_full():
            raise Rejected(503, "queue full", "too many posts wait for their commit", retry_after=RETRY_SOON)

    def _stranger(self, system: str, topic: str, headers: Headers, body: bytes) -> Rejected:
        """The answer to a topic that no stream names. What its system has signed is counted by its name, for it is a finding."""
        known = self.strange_topics.get(system, frozenset())
        if len(known) < STRANGE_TOPICS or topic in known:
            with contextlib.suppress(Exception):  # a connector's fault must not fail its neighbours
                if self.connectors[system].is_signed(topic, headers, body):
                    self.strange_topics[system] = known | {topic}
                    return Rejected(404, UNKNOWN_TOPIC, UNKNOWN_ADDRESS, detail="no stream of the map names this topic")
        return Rejected(404, "unknown address", UNKNOWN_ADDRESS)

    async def _read(self, receive: Receive, system: str, topic: str) -> bytes:
        """The whole body, counted while it is read: what the sender announced may be a lie."""
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.read_seconds):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect":
                        reason = f"hung up of {system}"
                        log.warning(
                            "%s %s: the sender hung up after %d bytes", system, topic, size, extra={"reason": reason}
                        )
                        raise Gone
                    chunk = event.get("body", b"")
                    size += len(chunk)
                    self.bytes_in_flight += len(chunk)
                    if size > self.largest_body:
                        raise Rejected(413, "too large", f"is longer than {self.largest_body} bytes")
                    chunks.append(chunk)
                    if not event.get("more_body"):
                        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except TimeoutError:
            reason = f"the body did not arrive within {self.read_seconds:g} s"
            raise Rejected(408, "too slow", reason) from None
        finally:
            self.bytes_in_flight -= size

    async def _keep(self, system: str, topic: str, headers: Headers, body: bytes) -> bool:
        try:
            messages = self.connectors[system].read_webhook(topic, headers, body)
        except BadSignature as problem:
            reason = "its signature is not by a secret that we share"
            raise Rejected(401, "bad signature", reason, detail=one_line(problem)) from None
        except (BadMessage, ValueError, RecursionError) as problem:
            said = one_line(problem) if isinstance(problem, BadMessage) else type(problem).__name__
            raise Rejected(400, "unreadable", f"cannot be read: {said}") from None
        except Exception as problem:  # noqa: BLE001  a connector's fault must not fail its neighbours
            reason = f"{type(problem).__name__} at {traceback_place(problem)}: a fault of ours"
            raise Rejected(500, "failed", reason) from None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self.commits.keep(system, messages, len(body))
        except QueueFull:
            reason = "too many posts wait for their commit"
            raise Rejected(503, "queue full", reason, retry_after=RETRY_SOON) from None
        except (DatabaseDown, TimeoutError):
            reason = "the database cannot commit it now"
            raise Rejected(503, "database down", reason, retry_after=RETRY_LATER) from None
        except CannotBeKept as problem:
            raise Rejected(400, "unreadable", f"the database cannot hold it: {problem}") from None

    async def _refuse(self, rejected: Rejected, headers: Headers, receive: Receive, send: Send) -> None:
        more = []
        if rejected.retry_after is not None:
            more.append((b"retry-after", str(rejected.retry_after).encode()))
        if rejected.status == 405:
            more.append((b"allow", b"POST"))
        declared = headers.get("content-length", "0")
        is_small = declared.isdigit() and int(declared) <= SMALL_BODY and "transfer-encoding" not in headers
        told = {"error": str(rejected)}
        if is_small and rejected.status not in (408, 413):
            await answer(send, rejected.status, told, more)
            return
        # Closing while the sender still sends would reset the connection and destroy the answer on its way.
        await answer(send, rejected.status, told, [*more, (b"connection", b"close")], is_last=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while True:
                    event = await receive()
                    if event["type"] == "http.disconnect" or not event.get("more_body"):
                        break
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def tell_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /healthz: 200 while posts can be committed, else 503; the numbers stand in its body."""
        if scope["method"] not in ("GET", "HEAD"):
            await answer(send, 405, {"error": "ask with GET"}, [(b"allow", b"GET, HEAD")])
            return
        trouble = await self._probe()
        last = self.commits.last_commit_at
        totals = dict(self.tally.totals)
        minute = [times for (_, _, outcome), times in self.tally.minute.items() if outcome in ("new", "known")]
        slowest = max(minute, key=lambda times: times.answers, default=None)
        told = {
            "status": "down" if trouble else "up",
            "database": trouble or "commits",
            "last_commit_age_s": None if last is None else round(time.time() - last, 3),
            "queue_length": self.commits.queue_length,
            "in_flight": self.in_flight,
            "up_s": round(time.time() - self.started_at, 1),
            "answers": totals,
            "busiest_topic_ms": slowest and {f"p{n}": slowest.percentile(n / 100) for n in (50, 95, 99)},
        }
        await answer(send, 503 if trouble else 200, told, [(b"cache-control", b"no-store")])

    async def _probe(self) -> str | None:
        """What keeps posts from being committed, asked at most once a second; None when nothing does."""
        async with self._probing:
            at, trouble = self._probed
            if time.monotonic() - at > 1.0:
                try:
                    async with asyncio.timeout(3):
                        met = await self.commits.trouble()
                        trouble = met.state if met else None
                except TimeoutError:
                    trouble = "does not answer within 3 s"
                self._probed = (time.monotonic(), trouble)
            return trouble

    async def _record_until(self, is_closing: asyncio.Event) -> None:
        """Each minute and, since a minute that was closed is in no one's hands but these, once more at the end."""
        rows: list[dict[str, object]] = []
        is_last = False
        while not is_last:
            with contextlib.suppress(TimeoutError):
                is_last = await asyncio.wait_for(is_closing.wait(), RECORD_SECONDS)
            self.sparing.tell(log)
            rows = [*rows, *self.tally.close_minute()][-10_000:]  # a database that is away gets them later
            try:
                await asyncio.to_thread(record, self.store, rows)
                rows = []
            except sa.exc.SQLAlchemyError as problem:
                log.error("the door's health could not be recorded: %s", type(problem).__name__)


async def answer(
    send: Send,
    status: int,
    told: Mapping[str, Any],
    headers: Collection[tuple[bytes, bytes]] = (),
    *,
    is_last: bool = True,
) -> None:
    body = json.dumps(told).encode()
    basic = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*basic, *headers]})
    await send({"type": "http.response.body", "body": body, "more_body": not is_last})


def one_line(problem: Exception) -> str:
    """What an exception says, fit for a log: a sender's words in it can neither break the line nor fill the disk."""
    return ascii(str(problem))[1:-1][:200]


def traceback_place(problem: BaseException) -> str:
    """File and line where it was raised, without any of its values."""
    trace = problem.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"


class Endpoint:
    """Lets Starlette route every method to us, so that we answer 404 before 405 and count both."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.handle(scope, receive, send)


def application(door: Door) -> Starlette:
    """The door as an ASGI application."""
    routes = [
        Route("/webhooks/{system}/{topic:path}", Endpoint(door.receive_post)),
        Route("/healthz", Endpoint(door.tell_health)),
    ]
    app = Starlette(routes=routes, lifespan=door.lifespan)
    app.router.default = Endpoint(door.receive_post)
    app.router.redirect_slashes = False  # no sender follows a redirect of a POST
    return app


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1. Ends the process with a sentence when the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a door that was killed leaves its port in a wait
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
    except OSError as problem:
        sys.exit(
            f"The webhook door cannot listen on port {port} ({problem.strerror}); "
            "stop the program that does, or set CONCORD_DOOR_PORT to a free port"
        )
    return listener


def server_of(door: Door) -> uvicorn.Server:
    """The HTTP server of a door; `run(sockets=[listen(port)])` serves until SIGTERM or SIGINT."""
    return uvicorn.Server(
        uvicorn.Config(
            application(door),
            http=PatientProtocol,
            loop="uvloop",
            ws="none",
            proxy_headers=False,  # whoever posts could write any address into our log
            lifespan="on",
            access_log=False,
            log_config=None,  # its lines go where ours go, as sparingly
            log_level="warning",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=10,
            backlog=BACKLOG,
        )
    )


def run_door(door: Door, port: int) -> None:
    """Serve in this process until SIGTERM or SIGINT."""
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(door.sparing)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=[handler])
    server, listener = server_of(door), listen(port)
    log.info("The webhook door listens on http://127.0.0.1:%d/webhooks/", port)
    gc.collect()
    gc.freeze()  # what stands now stays: a collection that looks at all of it takes 120 ms
    sys.setswitchinterval(0.0005)  # by default the committing thread may wait 5 ms for its turn, after each round trip
    server.run(sockets=[listener])


def main() -> None:
    """Open the door for every topic of the map."""
    try:
        the_map, port = load_map(), settings.port("DOOR", 18700)
        posters = [system for system in the_map.systems.values() if topics_of(system)]
        connectors = {system.system: connector_for(system) for system in posters}
        database.words(settings.database_url())
    except (MapProblem, MissingSetting, settings.BadSetting) as problem:
        sys.exit(str(problem))
    topics = [(system.system, topic) for system in posters for topic in topics_of(system)]
    run_door(Door(connectors, topics, Store(url=settings.database_url())), port)


def topics_of(system: System) -> list[str]:
    """The topics that a system posts."""
    return [topic for stream in system.streams.values() for topic in stream.arrives.webhook]


if __name__ == "__main__":
    main()

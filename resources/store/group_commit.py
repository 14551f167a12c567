"""Keeping many webhooks a second: those that wait are committed together, and each is answered after its commit."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa

from resources.connectors.connector import Message
from resources.store.inbox import keep_each
from resources.store.store import Store
from resources.store.troubles import reason_of, sentence_of

log = logging.getLogger("concord.door")

GROUP = 200  # posts in one commit: at 4 KB each its insert takes about 20 ms
GROUP_BYTES = 8_000_000
GATHER_SECONDS = 0.002  # waited for more only while posts come together: a commit costs as much as ten posts in it
QUEUE = 3_000  # posts that may wait: three seconds' worth at 1,000/s
QUEUE_BYTES = 256_000_000
STATEMENT_MS = 4_000  # senders hang up after 5 s (Shopify) to 20 s (Stripe): they had better hear a 503
PASSING = ("08", "40", "53", "55", "57", "58", "XX")  # SQLSTATE classes that tell of the server, not of the message


class QueueFull(Exception):
    """More posts wait to be committed than may."""


class DatabaseDown(Exception):
    """The database cannot commit now; the message may be sent again."""


class CannotBeKept(Exception):
    """The database will never take this message as it is."""


@dataclass(slots=True)
class Post:
    """One post that waits for its commit."""

    system: str
    messages: Sequence[Message]
    size: int
    answer: asyncio.Future[bool]


class GroupCommit:
    """The queue before the inbox and the one thread that empties it, within a running event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.last_commit_at: float | None = None  # time.time()
        self.is_down = False
        self._waiting: deque[Post] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "commit")
        self._connection: sa.Connection | None = None  # the thread's own, kept from commit to commit
        self._writer: asyncio.Task[None] | None = None

    @property
    def queue_length(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._thread.submit(self._warm_up)
        self._writer = asyncio.create_task(self._write_on())

    async def stop(self) -> None:
        """Commit what waits, then end."""
        while self._waiting:
            await asyncio.sleep(0.01)
        if self._writer:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def is_full(self) -> bool:
        return len(self._waiting) >= QUEUE or self._bytes >= QUEUE_BYTES

    async def keep(self, system: str, messages: Sequence[Message], size: int) -> bool:
        """Commit one post; whether any of its messages was new.

        Raises QueueFull, DatabaseDown or CannotBeKept. Abandoning the wait does not undo the commit.
        """
        if self.is_full():
            raise QueueFull
        post = Post(system, messages, size, asyncio.get_running_loop().create_future())
        self._waiting.append(post)
        self._bytes += size
        self._arrived.set()
        return await post.answer

    async def _write_on(self) -> None:
        loop = asyncio.get_running_loop()
        group: list[Post] = []
        while True:
            await self._arrived.wait()
            if len(group) > 1:
                await asyncio.sleep(GATHER_SECONDS)
            group = self._take()
            if not self._waiting:
                self._arrived.clear()
            outcomes = await loop.run_in_executor(self._thread, self._write, group)
            for post, outcome in zip(group, outcomes, strict=True):
                self._bytes -= post.size
                if post.answer.done():  # its sender has gone
                    continue
                if isinstance(outcome, Exception):
                    post.answer.set_exception(outcome)
                else:
                    post.answer.set_result(outcome)

    def _take(self) -> list[Post]:
        group: list[Post] = []
        size = 0
        while self._waiting and len(group) < GROUP and size < GROUP_BYTES:
            group.append(self._waiting.popleft())
            size += group[-1].size
        return group

    def _write(self, group: list[Post]) -> list[bool | Exception]:
        """What became of each post. Never raises: the thread outlives every failure."""
        try:
            kept = self._commit(group)
        except Exception as problem:  # noqa: BLE001  whatever it is, the posts are answered and the next ones written
            if not _is_the_messages_fault(problem):
                self._note(problem)
                return [DatabaseDown() for _ in group]
            if len(group) == 1:
                return [CannotBeKept(reason_of(problem))]
            middle = len(group) // 2  # the bad one is found by halving; its neighbours are kept
            return self._write(group[:middle]) + self._write(group[middle:])
        self._note(None)
        return list(kept)

    def _commit(self, group: list[Post]) -> list[bool]:
        was_connected = self._connection is not None
        try:
            return self._insert(group)
        except sa.exc.DBAPIError as problem:
            if not (was_connected and problem.connection_invalidated):
                raise
        # The server was started anew since the last commit. If this one was made nevertheless, its messages are known.
        return self._insert(group)

    def _insert(self, group: list[Post]) -> list[bool]:
        is_new = [False] * len(group)
        ordered = sorted(
            range(len(group)), key=lambda place: group[place].system
        )  # stable: order within a system stays
        connection = self._connected()
        try:
            with connection.begin():
                for system, places in groupby(ordered, key=lambda place: group[place].system):
                    said = [(place, message) for place in places for message in group[place].messages]
                    told = keep_each(connection, system=system, messages=[message for _, message in said])
                    for (place, _), new in zip(said, told, strict=True):
                        is_new[place] |= new
        except Exception as problem:
            if not _is_the_messages_fault(problem):
                self._disconnect()
            raise
        self.last_commit_at = time.time()
        return is_new

    def _connected(self) -> sa.Connection:
        if self._connection is None:
            connection = self.store.engine.connect()
            connection.detach()  # its time limit must not go back into the pool
            connection.exec_driver_sql(f"set statement_timeout = {STATEMENT_MS}")
            connection.commit()
            self._connection = connection
        return self._connection

    def _warm_up(self) -> None:
        """The first connection takes 50 ms, which the first sender need not wait for."""
        with contextlib.suppress(sa.exc.SQLAlchemyError):
            self._connected()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _note(self, problem: Exception | None) -> None:
        """One line when the database goes and one when it is back, not one a post."""
        if problem is not None and not self.is_down:
            log.error(
                "posts cannot be committed: %s; senders are told to try again",
                sentence_of(problem) or reason_of(problem),
            )
        elif problem is None and self.is_down:
            log.warning("the database commits again")
        self.is_down = problem is not None


def _is_the_messages_fault(problem: Exception) -> bool:
    if isinstance(problem, UnicodeError | ValueError):
        return True
    if not isinstance(problem, sa.exc.DBAPIError) or problem.connection_invalidated:
        return False
    state = getattr(problem.orig, "sqlstate", None) or PASSING[0]
    return not state.startswith((*PASSING, "3D", "42", "28"))  # a missing database, table or right

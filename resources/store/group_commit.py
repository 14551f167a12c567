"""Keeping many webhooks a second: those that wait are committed together, and each is answered after its commit."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TypeVar

import sqlalchemy as sa

from resources.connectors.connector import Message
from resources.store.inbox import keep_each
from resources.store.store import Store, query
from resources.store.troubles import OTHER, Trouble, reason_of, sentence_of, trouble_of

T = TypeVar("T")
log = logging.getLogger("concord.door")

GROUP = 200  # posts in one commit: at 4 KB each its insert takes about 20 ms
GROUP_BYTES = 8_000_000
GATHER_SECONDS = 0.002  # waited for more only while posts come together: a commit costs as much as ten posts in it
QUEUE = 3_000  # posts that may wait: three seconds' worth at 1,000/s
QUEUE_BYTES = 256_000_000
FRESH_SECONDS = 1.0  # for so long a commit proves that the next one will do, too
STATEMENT_MS = 4_000  # senders hang up after 5 s (Shopify) to 20 s (Stripe): they had better hear a 503
PATIENCE = 5.0  # seconds: longer than a statement may take, so that it is the line that has fallen silent
TOO_LARGE = "54"  # SQLSTATE class of what exceeds a limit of the program, as an index entry of 3 KB does


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

    async def trouble(self) -> Trouble | None:
        """What keeps posts from being committed now, by the connection that commits them; None when nothing does."""
        last = self.last_commit_at
        if last is not None and not self.is_down and 0 <= time.time() - last < FRESH_SECONDS:
            return None
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._prove)

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
        kept = self._in_a_transaction(partial(_insert, group))
        self.last_commit_at = time.time()
        return kept

    def _prove(self) -> Trouble | None:
        """What a post's commit would meet now; never raises."""
        try:
            self._in_a_transaction(lambda connection: connection.execute(query("prove_commit")))
        except Exception as problem:  # noqa: BLE001  as above
            self._note(problem)
            return trouble_of(problem) or OTHER
        self._note(None)
        return None

    def _in_a_transaction(self, work: Callable[[sa.Connection], T]) -> T:
        """Do it and commit it; once more when the connection that is kept has died or become useless since its last commit.
        If that was after the commit, its messages are known."""
        was_connected = self._connection is not None
        try:
            return self._try(work)
        except sa.exc.DBAPIError as problem:
            if not (was_connected and problem.connection_invalidated):
                raise
        return self._try(work)

    def _try(self, work: Callable[[sa.Connection], T]) -> T:
        try:
            connection = self._connected()
            with connection.begin():
                return work(connection)
        except Exception as problem:
            if not _is_the_messages_fault(problem):
                self._disconnect()
            raise

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


def _insert(group: list[Post], connection: sa.Connection) -> list[bool]:
    is_new = [False] * len(group)
    ordered = sorted(range(len(group)), key=lambda place: group[place].system)  # stable: order within a system stays
    for system, places in groupby(ordered, key=lambda place: group[place].system):
        said = [(place, message) for place in places for message in group[place].messages]
        told = keep_each(connection, system=system, messages=[message for _, message in said])
        for (place, _), new in zip(said, told, strict=True):
            is_new[place] |= new
    return is_new


def _is_the_messages_fault(problem: Exception) -> bool:
    """Only what is known for it: a 400 is final for many senders, and a post that is answered 503 comes again."""
    if isinstance(problem, UnicodeError | ValueError | sa.exc.DataError | sa.exc.IntegrityError):
        return True
    state = getattr(getattr(problem, "orig", None), "sqlstate", None) or ""
    return state.startswith(TOO_LARGE) and not getattr(problem, "connection_invalidated", False)

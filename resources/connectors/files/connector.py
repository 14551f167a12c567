"""The ready-made connector for partners who speak by files, in a folder or behind SFTP: each of theirs is taken once, each of
ours is dropped whole."""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from resources.connectors.connector import Connector, Delivery, Message, Outcome, Page, Result, TakenFile, Unreachable
from resources.connectors.files.folders import Folder, Unreadable, open_folder
from resources.connectors.files.formats import read_records
from resources.connectors.files.outgoing import content_of, name_of, names_in
from resources.connectors.files.spec import BadFile, FileSpec

PAGE = 5_000  # messages
UNCLAIMED = 1_000  # files that no stream takes, at most told of
IN_MEMORY = 8 << 20  # bytes of a file that are held before it is copied to disk


class Drop(Connector):
    """A folder into which a partner drops files; `streams` says, per stream, which files and how they are written.

    A file is finished when its name is no upload's, and its size and time were the same at two looks, `quiet_seconds`
    apart. It is taken again when its content changed, under whatever name it then has.
    """

    url: str  # file:///folder or sftp://user@host:port/folder
    password: str | None = None
    known_host: str | None = None  # the server's public key; needed unless it runs on this machine
    streams: dict[str, dict[str, Any]] = {}  # noqa: RUF012  pydantic copies it
    drops: dict[str, dict[str, Any]] = {}  # noqa: RUF012  entity: folder, format and delimiter of what we drop there
    quiet_seconds: float = 2.0  # SFTP tells whole seconds: less could miss a change of equal size within one

    def has_changed(self, stream: str, cursor: str | None) -> bool:
        """One listing. A file that is still being written counts: the next look is what finishes it."""
        spec = self._spec(stream)
        known = _Cursor(cursor, spec)
        with open_folder(self.url, self.password, self.known_host) as folder:
            return any(not known.has(name, mark) for name, mark in folder.look(spec.glob).items())

    def changed_since(self, stream: str, cursor: str | None) -> Iterator[Page]:
        """Pages of the files that are finished and not yet taken, oldest first; a file ends with the page that has `file`.

        The pages of one file carry the cursor from before it until its last, so that a kill between them reads it again.
        """
        spec = self._spec(stream)
        known = _Cursor(cursor, spec)
        before, told = known.text(), False
        with open_folder(self.url, self.password, self.known_host) as folder:
            for name in self._finished(folder, spec.glob, known):
                for page in self._take(folder, stream, spec, name, known):
                    told = True
                    yield page
        if not told and known.text() != before:
            yield Page((), known.text())

    def unclaimed(self) -> list[str]:
        """Files that no stream's glob takes, and that we have not dropped ourselves."""
        globs = [FileSpec.of(stream, told).glob for stream, told in self.streams.items()]
        globs += [names_in(told["folder"], told["format"]) for told in self.drops.values()]
        with open_folder(self.url, self.password, self.known_host) as folder:
            names = folder.unclaimed(globs, UNCLAIMED)
        return [name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in names]

    def deliver(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Drop a file for each delivery; one that stands there already is the same. Raises Unreachable when none was."""
        outcomes: list[Outcome] = []
        with open_folder(self.url, self.password, self.known_host) as folder:
            for one in deliveries:
                if one.entity not in self.drops:
                    told = f"no file is declared for {one.entity}; add drops: {{{one.entity}: {{folder: ..., format: csv}}}}"
                    outcomes.append(Outcome(one.delivery_id, Result.REFUSED, reason=told))
                    continue
                name, content = self._file(one)
                try:
                    folder.put(name, content)
                except Unreachable as error:
                    outcomes.append(Outcome(one.delivery_id, Result.UNKNOWN, reason=str(error)))
                else:
                    outcomes.append(Outcome(one.delivery_id, Result.APPLIED, remote_id=one.key))
        return outcomes

    def find(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Whether each file stands there. One that the partner took away meanwhile is dropped again under its old name."""
        outcomes = []
        with open_folder(self.url, self.password, self.known_host) as folder:
            for one in deliveries:
                name, content = self._file(one)
                is_there = folder.read(name) == content
                result, reason = (Result.APPLIED, None) if is_there else (Result.RETRY, f"{name} does not stand there")
                outcomes.append(Outcome(one.delivery_id, result, one.key if is_there else None, reason))
        return outcomes

    def _file(self, delivery: Delivery) -> tuple[str, bytes]:
        told = self.drops[delivery.entity]
        name = name_of(delivery, told["folder"], told["format"])
        return name, content_of(delivery, told["format"], told["delimiter"])

    def _spec(self, stream: str) -> FileSpec:
        if stream not in self.streams:
            raise ValueError(
                f"no files are declared for stream {stream!r}; declared are {', '.join(self.streams) or 'none'}"
            )
        return FileSpec.of(stream, self.streams[stream])

    def _finished(self, folder: Folder, glob: str, known: "_Cursor") -> list[str]:
        """The names of new files that two looks found the same; where the cursor holds no earlier look, wait for one."""
        for is_last in (False, True):
            looked_at = time.time()
            listed = folder.look(glob)
            fresh = known.look_at(listed, looked_at)
            quiet = [name for name in fresh if known.is_quiet(name, looked_at, self.quiet_seconds)]
            if is_last or len(quiet) == len(fresh):
                break
            time.sleep(max(0.0, looked_at + self.quiet_seconds - time.time()) + 0.01)
        return sorted(quiet, key=lambda name: (int(fresh[name].split(".")[1]), name))

    def _take(self, folder: Folder, stream: str, spec: FileSpec, name: str, known: "_Cursor") -> Iterator[Page]:
        seen = known.looks[name][0]
        raw_name = name.encode("utf-8", "surrogateescape")
        shown = raw_name.decode("utf-8", "backslashreplace")
        with SpooledTemporaryFile(max_size=IN_MEMORY) as file:
            try:
                if folder.copy(name, file) != seen:
                    return  # it changed since the look, and will be looked at again
            except Unreadable as error:
                occurrence = hashlib.sha256(raw_name + b"\0" + seen.encode()).hexdigest()
                known.has_taken(name, occurrence, is_problem=True)
                problem = f"{error}; let us read it, or send it again"
                yield Page((), known.text(), file=TakenFile(shown, occurrence, int(seen.split(".")[0]), 0, problem))
                return
            occurrence = _occurrence(raw_name, file)
            if known.holds(name, occurrence):  # sent again, and the same
                known.has_taken(name, occurrence, is_problem=False)
                yield Page((), known.text())
                return
            unchanged = known.text()
            read = _Read()
            for messages in read.pages(spec, stream, shown, occurrence, file):
                yield Page(messages, unchanged)
            size = file.seek(0, os.SEEK_END)
        known.has_taken(name, occurrence, is_problem=read.problem is not None)
        yield Page(read.rest, known.text(), file=TakenFile(shown, occurrence, size, read.count, read.problem))


class _Read:
    """A file on its way into messages."""

    def __init__(self) -> None:
        self.rest: list[Message] = []  # what the last page holds
        self.count = 0
        self.problem: str | None = None

    def pages(
        self, spec: FileSpec, stream: str, name: str, occurrence: str, file: IO[bytes]
    ) -> Iterator[list[Message]]:
        """Full pages, while more is to come."""
        try:
            for record in read_records(spec, file):
                if len(self.rest) == PAGE:
                    yield self.rest
                    self.rest = []
                self.count += 1
                self.rest.append(
                    Message(
                        stream=stream,
                        payload=record.payload,
                        body=record.body,
                        file_name=name,
                        file_occurrence=occurrence,
                        row_number=record.row_number,
                    )
                )
        except BadFile as error:
            self.problem = str(error)


def _occurrence(raw_name: bytes, file: IO[bytes]) -> str:
    """SHA-256 of path and content: the same name with new content is another occurrence."""
    digest = hashlib.sha256(raw_name + b"\0")
    file.seek(0)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


class _Cursor:
    """What is known of the files that lie in the folder: which were taken, and what earlier looks saw of the others."""

    def __init__(self, text: str | None, spec: FileSpec) -> None:
        known = json.loads(text) if text else {}
        self.spec = hashlib.sha256(repr(spec).encode()).hexdigest()[:16]
        self.taken: dict[str, list[Any]] = known.get("taken", {})  # name: mark, start of occurrence, 1 for a problem
        self.looks: dict[str, list[Any]] = known.get("looks", {})  # name: mark, when it was first seen so
        if known.get("spec") != self.spec:  # the map reads files differently now: what it could not read deserves a try
            self.taken = {name: known for name, known in self.taken.items() if not known[2]}

    def text(self) -> str:
        return json.dumps({"spec": self.spec, "taken": self.taken, "looks": self.looks}, separators=(",", ":"))

    def has(self, name: str, mark: str) -> bool:
        """Whether the file was taken as it is."""
        return name in self.taken and self.taken[name][0] == mark

    def holds(self, name: str, occurrence: str) -> bool:
        """Whether that content was the last that was taken under the name."""
        return name in self.taken and self.taken[name][1] == occurrence[:16]

    def look_at(self, listed: dict[str, str], at: float) -> dict[str, str]:
        """Remember what is fresh, with the first time at which it was seen so; forget what is gone."""
        fresh = {name: mark for name, mark in listed.items() if not self.has(name, mark)}
        self.taken = {name: known for name, known in self.taken.items() if name in listed}
        self.looks = {name: self._look(name, mark, at) for name, mark in fresh.items()}
        return fresh

    def _look(self, name: str, mark: str, at: float) -> list[Any]:
        seen, since = self.looks.get(name, ("", at))
        return [mark, since if seen == mark and since <= at else at]  # a clock that was set back starts anew

    def is_quiet(self, name: str, now: float, seconds: float) -> bool:
        """Whether an earlier look, long enough ago, saw it as it is."""
        since = float(self.looks[name][1])
        return since < now and now - since >= seconds

    def has_taken(self, name: str, occurrence: str, *, is_problem: bool) -> None:
        """What the last look saw of it was taken."""
        mark = self.looks.pop(name)[0]
        self.taken[name] = [mark, occurrence[:16], int(is_problem)]

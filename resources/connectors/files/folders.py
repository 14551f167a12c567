"""Folders that partners drop files into, here or behind SFTP: what lies there, and a copy of one file.

The names in them are data. They are compared and shown, and handed back to the folder that told them; nothing is ever
written under such a name.
"""

import asyncio
import fnmatch
import ipaddress
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh

from resources.connectors.connector import Unreachable

T = TypeVar("T")

UNFINISHED = ("*.part", "*.tmp", "*.filepart", ".*")  # what clients call a file while they upload it
CHUNK = 4 << 20  # bytes read at once; asyncssh splits them into parallel requests
PATIENCE = 60.0  # seconds for one answer of a server that we are connected to
DEEPEST = 5  # folders in a folder in which nobody's files are looked for
FAREWELL = 2.0  # seconds for its goodbye


class Unreadable(Exception):
    """The file is there and cannot be opened."""


class Folder(ABC):
    """A drop folder. A file's mark changes whenever its content may have changed."""

    def look(self, glob: str) -> dict[str, str]:
        """The finished files below the folder whose path fits the glob, each with its mark. Raises Unreachable.

        No symbolic link is followed: it may lead out of the folder, or show one file under two names.
        """
        *folders, last = glob.split("/")
        paths = [""]
        for step in folders:
            if any(mark in step for mark in "*?["):
                paths = [
                    f"{path}{name}/"
                    for path in paths
                    for name, is_folder, _ in self.entries(path)
                    if is_folder and fnmatch.fnmatchcase(name, step) and not name.startswith(".")
                ]
            else:
                paths = [f"{path}{step}/" for path in paths]
        return {
            path + name: mark
            for path in paths
            for name, is_folder, mark in self.entries(path)
            if not is_folder and mark and _fits(name, last)
        }

    def unclaimed(self, globs: Sequence[str], most: int) -> list[str]:
        """Finished files below the folder whose path fits none of the globs, hidden folders left out. Raises Unreachable."""
        found: list[str] = []
        paths = [""]
        while paths and len(found) < most:
            path = paths.pop(0)
            for name, is_folder, mark in self.entries(path):
                if is_folder and not name.startswith(".") and path.count("/") < DEEPEST:
                    paths.append(f"{path}{name}/")
                elif mark and _fits(name, "*") and not any(_is_of(path + name, glob) for glob in globs):
                    found.append(path + name)
        return sorted(found)[:most]

    def put(self, path: str, content: bytes) -> None:
        """Write a file so that nobody sees half of it: under an upload's name, renamed when complete, and read back.

        Raises Unreachable; then it may stand there or not, and may be put again.
        """
        self.write(f"{path}.part", content)
        self.rename(f"{path}.part", path)
        if self.read(path) != content:
            raise Unreachable(f"{path} does not read as it was written")

    @abstractmethod
    def write(self, path: str, content: bytes) -> None:
        """Write a whole file. Raises Unreachable."""

    @abstractmethod
    def rename(self, path: str, to: str) -> None:
        """Give a file another name, over one that has it already. Raises Unreachable."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """A whole file, or None when there is none. Raises Unreachable."""

    @abstractmethod
    def entries(self, path: str) -> list[tuple[str, bool, str]]:
        """Name, whether it is a folder, and mark ('' unless it is a plain file) of each entry. Raises Unreachable."""

    @abstractmethod
    def copy(self, path: str, to: IO[bytes]) -> str | None:
        """Copy a file; its mark, or None when it changed or went meanwhile. Raises Unreadable or Unreachable."""


def _is_of(path: str, glob: str) -> bool:
    """Whether `look` would find the file by this glob."""
    *folders, name = path.split("/")
    *steps, last = glob.split("/")
    if len(folders) != len(steps):
        return False
    return all(fnmatch.fnmatchcase(*pair) for pair in zip(folders, steps, strict=True)) and _fits(name, last)


def _fits(name: str, glob: str) -> bool:
    """A name in any case: a partner's ORDERS.CSV is no other file to them than orders.csv."""
    lower = name.lower()
    return fnmatch.fnmatchcase(lower, glob.lower()) and not any(fnmatch.fnmatchcase(lower, part) for part in UNFINISHED)


class LocalFolder(Folder):
    """A folder of this machine."""

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)  # the folder itself may be a link, for whoever set it up wanted it so

    def entries(self, path: str) -> list[tuple[str, bool, str]]:
        found = []
        try:
            with os.scandir(os.path.join(self.root, path)) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # it went since it was listed
                        continue
                    found.append((entry.name, stat.S_ISDIR(status.st_mode), self._mark(status)))
        except OSError as error:
            raise Unreachable(f"the drop folder {self.root}/{path} cannot be read: {error.strerror}") from None
        return found

    @staticmethod
    def _mark(status: os.stat_result) -> str:
        """Also the inode and the time of its last change, which no sender can set back."""
        if not stat.S_ISREG(status.st_mode):
            return ""
        return f"{status.st_size}.{status.st_mtime_ns}.{status.st_ctime_ns}.{status.st_ino}"

    def copy(self, path: str, to: IO[bytes]) -> str | None:
        try:
            # a name may have become a link or a pipe since it was listed: do not follow the one, nor wait on the other
            descriptor = os.open(os.path.join(self.root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreadable(f"the file cannot be opened: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            before = self._mark(os.fstat(descriptor))
            try:
                while before and (chunk := file.read(CHUNK)):
                    to.write(chunk)
            except OSError as error:
                raise Unreadable(f"the file cannot be read: {error.strerror}") from None
            return before if before and before == self._mark(os.fstat(descriptor)) else None

    def write(self, path: str, content: bytes) -> None:
        try:
            with open(os.path.join(self.root, path), "wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        except OSError as error:
            raise Unreachable(f"{self.root}/{path} cannot be written: {error.strerror}") from None

    def rename(self, path: str, to: str) -> None:
        try:
            os.replace(os.path.join(self.root, path), os.path.join(self.root, to))
        except OSError as error:
            raise Unreachable(f"{self.root}/{path} cannot be renamed: {error.strerror}") from None

    def read(self, path: str) -> bytes | None:
        try:
            with open(os.path.join(self.root, path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreachable(f"{self.root}/{path} cannot be read: {error.strerror}") from None


class SftpFolder(Folder):
    """A folder behind SFTP. It tells times in whole seconds."""

    def __init__(self, runner: asyncio.Runner, client: asyncssh.SFTPClient, root: str, server: str) -> None:
        self.runner = runner
        self.client = client
        self.root = root.rstrip("/")
        self.server = server

    def _answer(self, question: Awaitable[T]) -> T:
        try:
            return self.runner.run(asyncio.wait_for(question, PATIENCE))
        except TimeoutError:
            raise Unreachable(f"{self.server} did not answer within {PATIENCE:g} seconds") from None
        except (
            asyncssh.SFTPNoConnection,
            asyncssh.SFTPConnectionLost,
            asyncssh.DisconnectError,
            ConnectionError,
        ) as error:
            raise Unreachable(f"{self.server} broke the connection: {error}") from None

    def entries(self, path: str) -> list[tuple[str, bool, str]]:
        try:
            listed = self._answer(self.client.readdir(f"{self.root}/{path}".rstrip("/") or "/"))
        except asyncssh.SFTPError as error:
            raise Unreachable(f"{self.server} does not list the folder {self.root}/{path}: {error.reason}") from None
        return [
            (str(entry.filename), entry.attrs.type == asyncssh.FILEXFER_TYPE_DIRECTORY, self._mark(entry.attrs))
            for entry in listed
            if "/" not in str(entry.filename) and entry.filename not in (".", "..")
        ]

    @staticmethod
    def _mark(attributes: asyncssh.SFTPAttrs) -> str:
        if attributes.type != asyncssh.FILEXFER_TYPE_REGULAR:
            return ""
        return f"{attributes.size}.{attributes.mtime}"

    def copy(self, path: str, to: IO[bytes]) -> str | None:
        full = f"{self.root}/{path}"
        try:
            before = self._mark(self._answer(self.client.lstat(full)))
            if not before:
                return None
            file: Any = self._answer(self.client.open(full, "rb", encoding=None))
            try:
                copied = 0
                while chunk := self._answer(file.read(CHUNK, copied)):
                    to.write(chunk)
                    copied += len(chunk)
            finally:
                self._answer(file.close())
            after = self._mark(self._answer(self.client.lstat(full)))
        except asyncssh.SFTPNoSuchFile:
            return None
        except asyncssh.SFTPError as error:
            raise Unreadable(f"the file cannot be read: {error.reason}") from None
        return before if before == after and before.startswith(f"{copied}.") else None

    def write(self, path: str, content: bytes) -> None:
        async def whole() -> None:
            async with self.client.open(f"{self.root}/{path}", "wb") as file:
                await file.write(content)

        self._do(whole(), path, "written")

    def rename(self, path: str, to: str) -> None:
        self._do(self.client.posix_rename(f"{self.root}/{path}", f"{self.root}/{to}"), path, "renamed")

    def read(self, path: str) -> bytes | None:
        async def whole() -> Any:
            async with self.client.open(f"{self.root}/{path}", "rb", encoding=None) as file:
                return await file.read()

        try:
            return self._answer(whole())
        except asyncssh.SFTPNoSuchFile:
            return None
        except asyncssh.SFTPError as error:
            raise Unreachable(f"{self.server}: {self.root}/{path} cannot be read: {error.reason}") from None

    def _do(self, work: Awaitable[T], path: str, what: str) -> T:
        try:
            return self._answer(work)
        except asyncssh.SFTPError as error:
            raise Unreachable(f"{self.server}: {self.root}/{path} cannot be {what}: {error.reason}") from None


@contextmanager
def open_folder(url: str, password: str | None, known_host: str | None) -> Iterator[Folder]:
    """The folder at file:///folder or sftp://user@host:port/folder. Raises Unreachable, and ValueError on a bad address."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        yield LocalFolder(unquote(parts.path))
        return
    if parts.scheme != "sftp" or not parts.hostname:
        raise ValueError("a drop folder's url must be file:///folder or sftp://user@host:port/folder")
    if parts.password is not None:
        raise ValueError("the url of a drop folder must not hold a password; give it as the setting `password`")
    with asyncio.Runner() as runner:
        connection, client, server = None, None, f"sftp://{parts.hostname}:{parts.port or 22}"
        try:
            connection, client = runner.run(_connect(parts, server, password, known_host))
            yield SftpFolder(runner, client, unquote(parts.path), server)
        finally:
            if connection is not None and client is not None:
                runner.run(_hang_up(connection, client))


async def _connect(
    parts: Any, server: str, password: str | None, known_host: str | None
) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]:
    """A connection to a server that is who it should be. Raises Unreachable."""
    try:
        connection = await asyncssh.connect(
            parts.hostname,
            parts.port or 22,
            username=unquote(parts.username or ""),
            password=password,
            known_hosts=_known_hosts(server, parts.hostname, known_host),
            config=None,  # nothing of the account under which we happen to run: no settings, keys or agent
            client_keys=None,
            agent_path=None,
            connect_timeout=10,
            login_timeout=20,
            keepalive_interval=15,
        )
        # names that are no UTF-8 are told too; they are only ever handed back
        return connection, await connection.start_sftp_client(path_errors="surrogateescape")
    except asyncssh.HostKeyNotVerifiable:
        raise Unreachable(
            f"{server} shows another host key than the one in `known_host`; ask its administrator whether it changed"
        ) from None
    except asyncssh.PermissionDenied:
        raise Unreachable(f"{server} refuses the user {unquote(parts.username or '')!r} or its password") from None
    except TimeoutError:
        raise Unreachable(f"{server} did not answer within 10 seconds") from None
    except (OSError, asyncssh.Error) as error:
        raise Unreachable(f"{server} cannot be reached: {error}") from None


def _known_hosts(server: str, host: str, known_host: str | None) -> Any:
    """Which host keys are accepted, in asyncssh's terms. Raises Unreachable or ValueError."""
    if known_host:
        words = known_host.split()
        words = words[1:] if len(words) > 2 and not words[0].startswith(("ssh-", "ecdsa-", "sk-")) else words
        try:
            return [asyncssh.import_public_key(" ".join(words))], [], []
        except asyncssh.KeyImportError:
            raise ValueError("`known_host` must be a line of known_hosts, as: ssh-ed25519 AAAA...") from None
    if host == "localhost" or _is_loopback(host):
        return None
    raise Unreachable(
        f"{server} is not trusted: put its host key into `known_host` (ssh-keyscan prints it; compare it with its owner's)"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _hang_up(connection: asyncssh.SSHClientConnection, client: asyncssh.SFTPClient) -> None:
    """Say goodbye; a server that no longer listens is left without."""
    client.exit()
    connection.close()
    try:
        await asyncio.wait_for(connection.wait_closed(), FAREWELL)
    except TimeoutError:
        connection.abort()

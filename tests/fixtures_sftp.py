"""The sandbox's SFTP server, really run, and places into which a test can drop files."""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from resources.connectors.files.connector import Drop
from tests.fixtures_postgres import free_port


@dataclass(frozen=True)
class Sftp:
    """A running server: where it listens, whom it knows, and where their files lie."""

    state: Path
    port: int
    passwords: dict[str, str]
    pid: int = 0

    def url(self, user: str, folder: str = "") -> str:
        return f"sftp://{user}@127.0.0.1:{self.port}/{folder}"

    def folder(self, user: str) -> Path:
        return self.state / "sandbox" / "sftp" / user

    @property
    def host_key(self) -> str:
        return (self.state / "sandbox" / "sftp" / "host_key.pub").read_text()


@pytest.fixture(scope="session")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    """The server as a process of its own, on a free port and in a folder of the session's own."""
    passwords = {user: secrets.token_hex(8) for user in ("warehouse", "wholesale")}
    server = Sftp(tmp_path_factory.mktemp("sftp"), free_port(), passwords)
    environment = {
        **os.environ,
        "CONCORD_STATE": str(server.state),
        "CONCORD_SFTP_PORT": str(server.port),
        **{f"{user.upper()}_SFTP_PASSWORD": password for user, password in passwords.items()},
    }
    command = [sys.executable, "-m", "resources.sandbox.sftp"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        # a server that hangs before it serves is ended, and its silence then fails the session with what it said
        deadline = threading.Timer(30, process.kill)
        deadline.start()
        greeting = process.stdout.readline()
        deadline.cancel()
        if "serves" not in greeting:
            raise RuntimeError(f"the SFTP server did not start: {greeting!r}")
        try:
            yield replace(server, pid=process.pid)
        finally:
            process.terminate()


@dataclass(frozen=True)
class Place:
    """An empty drop folder: how Concord sees it, and its path on this machine, where a test plays the partner."""

    url: str
    password: str | None
    path: Path

    def drop(self, **streams: dict[str, Any]) -> Drop:
        """The connector, in a hurry."""
        return Drop(url=self.url, password=self.password, streams=streams, quiet_seconds=0.05)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


@pytest.fixture(params=["folder", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of the test's own, once as a folder and once behind SFTP."""
    if request.param == "folder":
        return Place(f"file://{tmp_path}", None, tmp_path)
    return request.getfixturevalue("sftp_place")()


@pytest.fixture
def sftp_place(sftp: Sftp) -> Callable[[], Place]:
    """Makes empty folders behind SFTP."""

    def make() -> Place:
        name = secrets.token_hex(6)
        path = sftp.folder("warehouse") / name
        path.mkdir()
        return Place(sftp.url("warehouse", name), sftp.passwords["warehouse"], path)

    return make

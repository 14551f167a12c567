"""What strangers post cannot fill the disk: the door's log tells refusals sparingly, and is set aside while it grows."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from resources.host import processes
from resources.host.processes import Keeper, Program
from resources.host.settings import ROOT
from resources.store.store import Store
from tests.fixtures_postgres import free_port
from tests.signed_shop import signature

CHATTER = """
import time
for n in range(1000):
    print(n, "x" * 990, flush=True)
    time.sleep(0.003)
print("the last word", flush=True)
time.sleep(60)
"""


def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


class Serving:
    """A door as a process of its own, and its log."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log

    def post(self, path: str = "shop/orders/create", secret: str = "wrong", body: bytes = b'{"id": 1}') -> int:
        headers = {"X-Signature": signature(body, secret)}
        return requests.post(
            f"http://127.0.0.1:{self.port}/webhooks/{path}", data=body, headers=headers, timeout=20
        ).status_code

    def lines(self, word: str) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if word in line]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@contextmanager
def serving(store: Store, log: Path) -> Iterator[Serving]:
    port = free_port()
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.signed_shop", store.url, str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    with process:
        try:
            until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            yield Serving(process, port, log)
        finally:
            process.kill()


def test_refusals_are_told_once_a_minute_and_reason_with_their_count(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path / "door.log") as door:
        for number in range(40):
            assert door.post(body=b'{"id": %d}' % number) == 401
            assert door.post(f"shop/no/such/{number}") == 404
            assert door.post(f"stranger/{number}") == 404
        assert len(door.lines("its signature is not")) == 1
        assert len(door.lines("no system of the map posts this")) == 2  # one for whom the map names, one for strangers
        assert (
            requests.post(
                f"http://127.0.0.1:{door.port}/webhooks/shop/notes", data=b"x" * 5_000_001, timeout=20
            ).status_code
            == 413
        )
        assert len(door.lines("5000001")) == 1  # another reason has a line of its own
        door.stop()
        assert len(door.lines("rejected")) == 4
        [told] = door.lines("bad signature of shop")
        assert re.search(r"\b39 more\b", told)


def test_what_is_no_http_at_all_is_told_once_a_minute(store: Store, tmp_path: Path) -> None:
    with serving(store, tmp_path / "door.log") as door:
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", door.port), timeout=10) as line:
                line.sendall(b"\x16\x03\x01 no such thing\r\n\r\n")
                while line.recv(4096):
                    pass
        for _ in range(40):
            with socket.create_connection(("127.0.0.1", door.port), timeout=10) as line:
                line.sendall(b"POST /webhooks/shop/notes HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx")
        until(lambda: len(door.lines("hung up")) > 0)
        time.sleep(1)
        assert len(door.lines("hung up")) == 1
        assert len(door.lines("Invalid HTTP request")) == 1
        door.stop()
        assert len(door.log.read_text().splitlines()) < 12


def test_a_log_is_set_aside_while_its_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT", 200_000)
    keeper = Keeper(tmp_path / "run", tmp_path / "logs", lambda _: None)
    log, older = tmp_path / "logs" / "chatter.log", tmp_path / "logs" / "chatter.log.1"
    keeper.start(Program("chatter", [sys.executable, "-c", CHATTER]))
    try:
        first = keeper.kept["chatter"].process.pid
        largest = 0

        def is_over() -> bool:
            nonlocal largest
            keeper.look()
            largest = max(largest, log.stat().st_size)
            return keeper.last_words("chatter") == "the last word"

        until(is_over, 30)
        assert keeper.kept["chatter"].process.pid == first
        assert largest < 400_000
        assert older.stat().st_size < 400_000
        assert b"\0" not in log.read_bytes()
    finally:
        keeper.stop()

"""Questions and answers between processes of one machine: a line of JSON each, through a socket that is a file."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWER_WITHIN = 5.0  # seconds; whoever answers later is not well


def ask(path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """One question to whoever listens there. Raises OSError or ValueError where nobody answers."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(ANSWER_WITHIN)
        with _short(path) as name:
            line.connect(name)
        line.sendall(written(told))
        with line.makefile() as answer:
            return json.loads(answer.readline())


def written(told: dict[str, Any]) -> bytes:
    """What is said, as a line."""
    return json.dumps(told).encode() + b"\n"


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket at that path for this user alone; it is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with _short(path) as name:
            listener.bind(name)
        path.chmod(0o600)
        listener.listen(128)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for that path of fewer than 108 bytes, which is all that a socket's address may have."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)

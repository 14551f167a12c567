"""Who listens on a port of this machine."""

import socket
from pathlib import Path

LISTENING = "0A"  # the state in /proc/net/tcp


def is_free(port: int) -> bool:
    """Whether we could listen on that port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left may be taken again
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def answers(port: int) -> bool:
    """Whether somebody accepts connections on that port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listener(port: int) -> str:
    """Who listens there, in words."""
    inodes = _listening_on(port)
    if not inodes:
        return "a connection of another program, which may end soon"
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            is_it = entry.readlink().name.removeprefix("socket:[").removesuffix("]") in inodes
            title = (entry.parents[1] / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if is_it:
            return f"process {entry.parents[1].name} ({title[:80]})"
    return "another user's program"


def _listening_on(port: int) -> set[str]:
    """The inodes of the sockets that listen on that port."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            words = row.split()
            if words[3] == LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                found.add(words[9])
    return found

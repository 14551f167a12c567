"""A line between a client and its server that can fall silent without closing, as when a firewall forgets it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Forwards every connection, until it is told to forward nothing more: what is sent then is taken and lost."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.is_silent = threading.Event()  # for the connections that begin from now on
        self._silent: list[threading.Event] = []
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hush(self) -> None:
        """The connections that are open forward nothing any more; new ones do."""
        for silent in self._silent:
            silent.set()

    def close(self) -> None:
        for one in (self._listener, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            silent = threading.Event()
            if self.is_silent.is_set():
                silent.set()
            self._silent.append(silent)
            self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=_forward, args=(source, sink, silent), daemon=True).start()


def _forward(source: socket.socket, sink: socket.socket, silent: threading.Event) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            if not silent.is_set():
                sink.sendall(chunk)
        if not silent.is_set():
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def proxied(url: str) -> Iterator[tuple[str, Proxy]]:
    """The same database by way of a proxy."""
    port = int(url.rpartition("/")[0].rpartition(":")[2])
    proxy = Proxy(port)
    try:
        yield url.replace(f":{port}/", f":{proxy.port}/"), proxy
    finally:
        proxy.close()

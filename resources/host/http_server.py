"""HTTP that does not wait for ever: a sender must finish its request's head in time and in size."""

import asyncio
import logging

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

log = logging.getLogger("concord.door")

HEAD_SECONDS = 10.0
HEAD_BYTES = 65_536


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself gives a sender all the time in the world for its first line."""

    head_timer: asyncio.TimerHandle | None = None
    head_bytes = 0
    is_in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._await_no_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()  # the first bytes of the next request, or the rest of one that was answered early
        super().data_received(data)
        if self.is_in_head:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self._refuse(431, "its head is longer than 64 KB")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.is_in_head, self.head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._await_no_head()
        self.is_in_head = False
        super().on_headers_complete()

    def _await_head(self) -> None:
        self.head_timer = self.loop.call_later(HEAD_SECONDS, self._refuse, 408, "its head did not arrive in time")

    def _await_no_head(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _refuse(self, status: int, reason: str) -> None:
        self._await_no_head()
        if self.transport.is_closing():
            return
        if self.is_in_head:  # an idle connection is closed without a word, which the next request would read as its own
            sender = self.client[0] if self.client else "?"
            log.warning("rejected a request from %s: %s (%d)", sender, reason, status, extra={"reason": reason})
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

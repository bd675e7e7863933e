"""HTTP connections that ask nothing are closed: else a few idle ones would keep everyone out."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

FIRST_REQUEST_S = 5.0


class ImpatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which waits for a connection's first request no longer than this."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.loop.call_later(FIRST_REQUEST_S, self._give_up)

    def _give_up(self) -> None:
        # A websocket has taken its transport over to a protocol of its own.
        if self.cycle is None and self.transport.get_protocol() is self:
            self.transport.close()

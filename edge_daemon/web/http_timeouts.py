"""Time limits of HTTP connections: without them a few slow or idle ones would keep everyone out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

REQUEST_LIMITS_S = {h11.IDLE: 5.0, h11.SEND_BODY: 15.0}
"""Longest wait for the rest of a request, by the client's state: for its head, from the connect or the end
of the previous response, and for its body, whether the application reads it or not."""

UNREAD_S = 15.0
"""Longest time that a part of a response waits for the client to read."""


class TimeLimitedHttp(H11Protocol):
    """uvicorn's HTTP protocol, with a time limit on each part of each request of a connection."""

    waiting_since: float | None = None
    """When, on the loop's clock, the connection began to wait for a whole request; None while it has one."""

    unread_since: float | None = None
    """When, on the loop's clock, it began to wait for the client to read; None while it doesn't."""

    _state: object = None
    _request_timer: asyncio.TimerHandle | None = None
    _response_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # whatever the client doesn't read counts as unread
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Begin to wait for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self.unread_since = self.loop.time()
        self._response_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """End the wait for the client to read."""
        super().resume_writing()
        self.unread_since = None
        _cancel(self._response_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """End every wait."""
        super().connection_lost(exc)
        self._end_waits()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Leave the connection to the websocket's protocol."""
        self._end_waits()
        self.transport.set_write_buffer_limits()
        super().handle_websocket_upgrade(event)

    def _watch(self) -> None:
        """Restart the request's timer when another part of a request is due."""
        state = self.conn.their_state
        if state is self._state or self.transport.get_protocol() is not self:
            return
        self._state = state
        _cancel(self._request_timer)
        if state not in REQUEST_LIMITS_S:
            self.waiting_since = None
            return
        self._request_timer = self.loop.call_later(REQUEST_LIMITS_S[state], self.transport.close)
        if self.waiting_since is None:
            self.waiting_since = self.loop.time()

    def _end_waits(self) -> None:
        self.waiting_since = None
        _cancel(self._request_timer)
        _cancel(self._response_timer)


class TimeLimitedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's websocket protocol, with a time limit on the handshake.

    A handshake that is no GET, or has a line above 8 kB, is neither answered nor closed by uvicorn.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the end of the handshake."""
        super().connection_made(transport)
        self._opened_s = self.loop.time()
        self.loop.call_later(REQUEST_LIMITS_S[h11.IDLE], self._give_up)

    unread_since = None
    """A viewer that does not read is closed by `visit`."""

    @property
    def waiting_since(self) -> float | None:
        """When, on the loop's clock, the handshake began; None once it is complete."""
        return None if self.handshake_complete else self._opened_s

    def _give_up(self) -> None:
        if not self.handshake_complete:
            self.transport.close()


def close_longest_waiting(connections: Iterable[object]) -> bool:
    """Close the connection that has waited longest for a whole request; where none does, for its client to
    read. Return False when no connection waits.
    """
    waiting = [
        (each.unread_since is not None, each.unread_since or each.waiting_since or 0.0, each.transport)
        for each in connections
        if isinstance(each, TimeLimitedHttp | TimeLimitedWebSocket)
        and (each.waiting_since is not None or each.unread_since is not None)
        and not each.transport.is_closing()
    ]
    if not waiting:
        return False
    min(waiting, key=lambda each: each[:2])[2].abort()
    return True


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()

"""Time limits of HTTP connections, so that a few slow or idle clients can't occupy all connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

REQUEST_LIMITS_S = {h11.IDLE: 5.0, h11.SEND_BODY: 15.0}
"""Longest wait for the rest of a request, by the client's state. The head's begins at the connect or at the
end of the previous response; the body's also runs while the application does not read it."""

UNREAD_S = 15.0
"""Longest time that a part of a response waits for the client to read."""


class TimeLimitedHttp(H11Protocol):
    """uvicorn's HTTP protocol, with a time limit on each part of each request of a connection."""

    waiting_since: float | None = None
    """Start of the wait for a whole request, on the loop's clock; None while there is one."""

    unread_since: float | None = None
    """Start of the wait for the client to read, on the loop's clock; None without such a wait."""

    _state: object = None
    _request_timer: asyncio.TimerHandle | None = None
    _response_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the wait for the first request."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # so that every unread byte pauses the writing
        self._restart_request_timer()

    def data_received(self, data: bytes) -> None:
        """Process a part of a request."""
        super().data_received(data)
        self._restart_request_timer()

    def on_response_complete(self) -> None:
        """Start the wait for the next request."""
        super().on_response_complete()
        self._restart_request_timer()

    def pause_writing(self) -> None:
        """Start the wait for the client to read."""
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
        self._cancel_timers()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to the websocket protocol."""
        self._cancel_timers()
        self.transport.set_write_buffer_limits()
        super().handle_websocket_upgrade(event)

    def _restart_request_timer(self) -> None:
        """Restart the request's timer if the client's state has changed."""
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

    def _cancel_timers(self) -> None:
        self.waiting_since = None
        _cancel(self._request_timer)
        _cancel(self._response_timer)


class TimeLimitedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's websocket protocol, with a time limit on the handshake.

    uvicorn neither answers nor closes a handshake that is not a GET or has a line above 8 kB.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the wait for the end of the handshake."""
        super().connection_made(transport)
        self._opened_s = self.loop.time()
        self.loop.call_later(REQUEST_LIMITS_S[h11.IDLE], self._close_unfinished)

    unread_since = None
    """Always None: websocket.SEND_S limits the wait for a viewer to read."""

    @property
    def waiting_since(self) -> float | None:
        """Start of the handshake, on the loop's clock; None once it is complete."""
        return None if self.handshake_complete else self._opened_s

    def _close_unfinished(self) -> None:
        if not self.handshake_complete:
            self.transport.close()


def close_longest_waiting(connections: Iterable[object]) -> bool:
    """Close the connection that has waited longest for a whole request; if none waits for one, the connection
    that has waited longest for its client to read. Return False if no connection waits.
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

"""Routes of the two websockets: viewers, and a browser that gives its camera."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.websockets import WebSocket, WebSocketDisconnect

from edge_daemon.web.camera_sender import CameraSenders, describe_sender
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.preview import PreviewEncoder
from edge_daemon.web.state import StateCache
from edge_daemon.web.viewers import MAX_VIEWERS, ViewerRegistry
from edge_daemon.web.websocket import serve_viewer

_TRY_AGAIN_LATER = 1013
_TOO_MANY = f"{MAX_VIEWERS} pages are open, the most at once; close one elsewhere"
"""The page shows it."""


@dataclass(frozen=True, slots=True)
class LiveRoute:
    """The websocket of the viewers."""

    state: StateCache
    feed: LiveFeed
    viewers: ViewerRegistry
    preview: PreviewEncoder
    senders: CameraSenders | None = None

    async def connect(self, socket: WebSocket) -> None:
        """Send state changes as they happen, and preview images on request."""
        await socket.accept()
        if self.viewers.is_full:
            await socket.close(_TRY_AGAIN_LATER, _TOO_MANY)
            return
        given = () if self.senders is None else (self.senders.message(),)
        now = (self.feed.heartbeat(), *self.feed.results())
        greeting = (*self.state.greeting(), *given, *now)
        try:
            await serve_viewer(socket, greeting, self.viewers, self.preview)
            await socket.close()
        except (WebSocketDisconnect, TimeoutError, KeyError, RuntimeError):
            # Disconnected, not reading, or bytes in place of text: each ends the connection.
            return


@dataclass(frozen=True, slots=True)
class CameraRoute:
    """The websocket of a browser that gives its camera."""

    senders: CameraSenders

    async def connect(self, socket: WebSocket) -> None:
        """Receive pictures until the browser ends or another one is admitted."""
        await socket.accept()
        who = describe_sender(socket.client.host if socket.client else "", socket.headers)
        try:
            await self.senders.serve(socket, who)
        except (WebSocketDisconnect, TimeoutError, KeyError, RuntimeError):
            # Disconnected, not reading, or text in place of bytes: each ends the connection.
            return

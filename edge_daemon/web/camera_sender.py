"""The browser that gives its camera: one at a time, asked for one picture after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Protocol

from msgspec import Meta

from edge_daemon.config.base import END
from edge_daemon.domain.errors import RequestError
from edge_daemon.system.picture_slot import PictureSlot
from edge_daemon.web.messages import Message
from edge_daemon.web.requests import RequestBody, read_body

MAX_PICTURE_BYTES = 512 << 10
REFUSED = 4000
"""Close code with which a browser does not try again by itself."""

STALL_S = 4.0
"""Time without a picture after which a sender counts as asleep, and another one may replace it."""

_MAX_LATE_S = 2.0
"""A picture that came later after the request may be old; a new one is asked for."""

_MAX_REASON_BYTES = 123
"""Longest reason of a close (RFC 6455, section 5.5)."""

_JPEG_START = b"\xff\xd8\xff"
_SEND_S = 5.0
_TOKEN_S = 10.0
_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
_SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "CrOS": "Chromebook",
    "Linux": "Linux",
}


class SenderSocket(Protocol):
    """The methods of a websocket that a sender's connection uses."""

    async def send_text(self, data: str) -> None:
        """Send a message."""

    async def receive_text(self) -> str:
        """Wait for a message; raises when the client has disconnected."""

    async def receive_bytes(self) -> bytes:
        """Wait for a picture; raises when the client has disconnected."""

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the connection."""


class GiveBody(RequestBody, frozen=True):
    """The first message of a sender: a secret by which it is recognised when it connects again."""

    token: Annotated[str, Meta(pattern="^[0-9a-f]{32}" + END)]


@dataclass(frozen=True, slots=True)
class SentCamera:
    """The slot for the pictures, and the size and the pictures a second that are asked of the browser."""

    pictures: PictureSlot
    size: tuple[int, int]
    fps: float


class _Sender:
    """One connection. `replaced` is set when another one takes its place."""

    def __init__(self, token: str, who: str, now_s: float) -> None:
        self.token = token
        self.who = who
        self.last_s = now_s
        self.replaced = asyncio.Event()


class CameraSenders:
    """Admits one sender at a time and passes its pictures on. Used from the page's thread alone.

    No more pictures a second are accepted than `camera` asks for. `announce` sends a message to all viewers;
    `now` is the monotonic clock.
    """

    def __init__(
        self,
        camera: SentCamera,
        *,
        announce: Callable[[Message], None],
        now: Callable[[], float],
    ) -> None:
        self._pictures = camera.pictures
        self._size = camera.size
        self._period_s = 1 / camera.fps
        self._announce = announce
        self._now = now
        self._sender: _Sender | None = None

    def message(self) -> Message:
        """Return who gives its camera, and what is asked of a sender."""
        return {"type": "sender", "who": self._sender and self._sender.who, "size": list(self._size)}

    async def serve(self, socket: SenderSocket, who: str) -> None:
        """Serve a sender until it disconnects, is replaced or sends something else than pictures."""
        try:
            async with asyncio.timeout(_TOKEN_S):
                token = read_body((await socket.receive_text()).encode(), GiveBody).token
        except RequestError as exc:
            await _refuse(socket, str(exc))
            return
        if not self._is_admitted(token):
            assert self._sender is not None
            await _refuse(socket, f"the camera of {self._sender.who} is in use")
            return
        sender = self._admit(token, who)
        reason = f"{who} ended its camera; another browser can give its own"
        try:
            reason = await self._receive(socket, sender) or reason
            await _refuse(socket, reason)
        finally:
            if self._sender is sender:
                self._sender = None
                self._pictures.end(reason)
                self._announce(self.message())

    def _is_admitted(self, token: str) -> bool:
        """Return whether nobody gives, the same browser does, or the sender is asleep."""
        sender = self._sender
        return sender is None or sender.token == token or self._now() - sender.last_s > STALL_S

    def _admit(self, token: str, who: str) -> _Sender:
        if self._sender is not None:
            self._sender.replaced.set()
            self._pictures.end(f"{who} took over the camera")
        self._sender = _Sender(token, who, self._now())
        self._announce(self.message())
        return self._sender

    async def _receive(self, socket: SenderSocket, sender: _Sender) -> str | None:
        """Ask for pictures and pass them on; return why no more are accepted."""
        replaced = asyncio.create_task(sender.replaced.wait())
        try:
            while True:
                asked_s = self._now()
                async with asyncio.timeout(_SEND_S):
                    await socket.send_text("next")
                content = await self._next(socket, sender, replaced)
                if content is None:
                    return "another browser gives its camera"
                if not content.startswith(_JPEG_START) or len(content) > MAX_PICTURE_BYTES:
                    return f"{sender.who} sent no JPEG picture of at most {MAX_PICTURE_BYTES >> 10} kB"
                sender.last_s = self._now()
                if sender.last_s - asked_s <= _MAX_LATE_S:
                    self._pictures.put(content, asked_s)
                await asyncio.sleep(max(0.0, asked_s + self._period_s - self._now()))
        finally:
            replaced.cancel()

    async def _next(
        self, socket: SenderSocket, sender: _Sender, replaced: asyncio.Task[bool]
    ) -> bytes | None:
        """Wait for a picture; None if the sender is replaced. A sender that sleeps is reported once."""
        receiving = asyncio.create_task(socket.receive_bytes())
        try:
            done, _ = await asyncio.wait(
                (receiving, replaced), timeout=STALL_S, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._pictures.end(f"{sender.who} sends no picture; its page is hidden, or it is asleep")
                await asyncio.wait((receiving, replaced), return_when=asyncio.FIRST_COMPLETED)
            return receiving.result() if receiving.done() else None
        finally:
            receiving.cancel()


async def _refuse(socket: SenderSocket, reason: str) -> None:
    """Close a connection with a reason, which the page shows; a browser does not try again by itself."""
    await socket.close(REFUSED, reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))


def describe_sender(address: str, headers: Mapping[str, str]) -> str:
    """Return a short name such as `192.168.1.7 (Chrome, Android)`; it holds only known words."""
    agent = headers.get("user-agent", "")
    names = [
        next((name for mark, name in known.items() if mark in agent), None) for known in (_BROWSERS, _SYSTEMS)
    ]
    known = ", ".join(name for name in names if name)
    return f"{address} ({known})" if known else address

"""Who watches. A viewer that doesn't read is sent away; it never holds memory."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from edge_daemon.web.messages import Message

MAX_VIEWERS = 12
MAX_UNREAD = 100
"""Messages a viewer may be behind: about ten seconds, some 50 kB."""


class Viewer:
    """One open page. Used from the page's thread alone."""

    def __init__(self) -> None:
        self._unread: deque[str] = deque()
        self._more = asyncio.Event()
        self.wants_map = False
        self.left_behind = False
        """Whether it fell so far behind that it must go."""

    def offer(self, text: str) -> None:
        """Leave a message; one too many ends the visit."""
        if len(self._unread) >= MAX_UNREAD:
            self.left_behind = True
            self._unread.clear()
        else:
            self._unread.append(text)
        self._more.set()

    async def next(self) -> str | None:
        """Wait for the next message; None once it was left behind."""
        while not self._unread and not self.left_behind:
            self._more.clear()
            await self._more.wait()
        return None if self.left_behind else self._unread.popleft()


class ViewerRegistry:
    """All viewers. Used from the page's thread alone."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def full(self) -> bool:
        """Whether no more are let in."""
        return len(self._viewers) >= MAX_VIEWERS

    @property
    def wants_map(self) -> bool:
        """Whether any viewer looks at the map of examples."""
        return any(viewer.wants_map for viewer in self._viewers)

    def join(self, viewer: Viewer) -> None:
        """Let a viewer hear what is told from now on."""
        self._viewers.add(viewer)

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self._viewers.discard(viewer)

    def tell(self, message: Message) -> None:
        """Tell everyone; the message is encoded once."""
        if self._viewers:
            text = encode(message)
            for viewer in self._viewers:
                viewer.offer(text)


def encode(message: Message) -> str:
    """Write a message as JSON text."""
    return msgspec.json.encode(message).decode()

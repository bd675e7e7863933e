"""Connected viewers. Each has a bounded queue; a viewer that does not read is disconnected."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import msgspec

from edge_daemon.web.messages import Message

MAX_VIEWERS = 12
MIN_QUEUE = 100
"""Length of a viewer's queue, in messages: about ten seconds of one region, some 50 kB."""

_QUEUED_GREETINGS = 10
"""The greeting has one or two messages a region, and so has every eighth of a second afterwards."""


class Viewer:
    """One open page and its queue of messages, `greeting` first. Used from the page's thread alone."""

    def __init__(self, greeting: Iterable[Message] = ()) -> None:
        self._unread = deque(map(encode, greeting))
        self._limit = max(MIN_QUEUE, _QUEUED_GREETINGS * len(self._unread))
        self._changed = asyncio.Event()
        self.wants_map = False
        self.overflowed = False
        """True after the queue was full once; the connection is then closed."""

    def enqueue(self, text: str) -> None:
        """Add a message to the queue. A full queue is dropped and marked as overflowed."""
        if len(self._unread) >= self._limit:
            self.overflowed = True
            self._unread.clear()
        else:
            self._unread.append(text)
        self._changed.set()

    async def next(self) -> str | None:
        """Wait for the next message; None after an overflow."""
        while not self._unread and not self.overflowed:
            self._changed.clear()
            await self._changed.wait()
        return None if self.overflowed else self._unread.popleft()


class ViewerRegistry:
    """All connected viewers. Used from the page's thread alone."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def is_full(self) -> bool:
        """True at the limit of viewers."""
        return len(self._viewers) >= MAX_VIEWERS

    @property
    def wants_map(self) -> bool:
        """True while any viewer shows the map of the examples."""
        return any(viewer.wants_map for viewer in self._viewers)

    def add(self, viewer: Viewer) -> None:
        """Send future broadcasts to a viewer."""
        self._viewers.add(viewer)

    def remove(self, viewer: Viewer) -> None:
        """End the broadcasts to a viewer."""
        self._viewers.discard(viewer)

    def broadcast(self, message: Message) -> None:
        """Enqueue a message for every viewer; it is encoded once."""
        if self._viewers:
            text = encode(message)
            for viewer in self._viewers:
                viewer.enqueue(text)


def encode(message: Message) -> str:
    """Encode a message as JSON text."""
    return msgspec.json.encode(message).decode()

"""Snapshots: requests that wait for the next frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from edge_daemon.domain.commands import TakeSnapshot
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.events import CommandReply, Event, Snapshot
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

MAX_WAITING = 64
"""Largest number of requests that wait for a frame."""


class Snapshots:
    """Queue of at most 64 requests. `encode` makes a JPEG. Every call comes from one thread."""

    def __init__(self, encode: Callable[[Image], bytes]) -> None:
        self._encode = encode
        self._waiting: list[tuple[float, TakeSnapshot]] = []

    def add(self, command: TakeSnapshot, now: float) -> None:
        """Queue a request at `now` (monotonic). Raises RequestError when too many are waiting."""
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError("too many snapshots are waiting for a frame")
        self._waiting.append((now, command))

    def expire(self, now: float, wait_s: float) -> Iterator[Event]:
        """Reply to the requests that no frame followed within `wait_s`."""
        while self._waiting and now - self._waiting[0][0] > wait_s:
            command = self._waiting.pop(0)[1]
            yield CommandReply(command, error=f"no frame came within {wait_s:.3g} s of the request")

    def fulfil(self, frame: Frame) -> Iterator[Event]:
        """Yield the snapshot of a frame and the reply, for each request."""
        for command in self.pop_all():
            yield Snapshot(self._encode(frame.image), command)
            yield CommandReply(command, data={"seq": frame.seq})

    def pop_all(self) -> list[TakeSnapshot]:
        """Remove and return the waiting requests."""
        waiting, self._waiting = self._waiting, []
        return [command for _, command in waiting]

"""From the pipeline to the viewers: what changed at once, what the frames show a few times a second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edge_daemon.domain.events import Classified, CommandReply, Event
from edge_daemon.web import messages
from edge_daemon.web.example_browser import ExampleBrowser
from edge_daemon.web.requests import CommandClient
from edge_daemon.web.state import StateCache
from edge_daemon.web.viewers import ViewerRegistry

PER_S = 8.0
_IDLE_S = 0.5
_FPS_OVER_S = 2.0
_TICK_S = 1.0
"""A page that hears nothing for three of these knows that the device is gone."""


class LiveFeed:
    """Hands events over to the page's thread, which owns everything else here.

    A frame costs the pipeline's thread two assignments, watched or not.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        board: StateCache,
        crowd: ViewerRegistry,
        desk: CommandClient,
        album: ExampleBrowser,
        now: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._board = board
        self._crowd = crowd
        self._desk = desk
        self._album = album
        self._now = now
        self._latest: dict[str, Classified] = {}
        self._told: dict[str, int] = {}
        self._counted: deque[tuple[float, int]] = deque()
        self._ticked_s = float("-inf")
        self.frames = 0
        """Classifications so far, of all regions."""
        self.last_s = float("-inf")
        """When the last one was, on the monotonic clock."""

    def handle(self, event: Event) -> None:
        """Take an event in the pipeline's thread."""
        if isinstance(event, Classified):
            self._latest[event.region] = event
            self.frames += 1
        else:
            self._loop.call_soon_threadsafe(self._take, event)

    def latest(self) -> list[messages.Message]:
        """Return what each region showed last."""
        return [messages.seen(event, self.fps) for event in self.classified()]

    def classified(self) -> list[Classified]:
        """Return the last classification of each region."""
        return list(self._latest.values())

    @property
    def fps(self) -> float:
        """Frames a second over the last two."""
        if len(self._counted) < 2:
            return 0.0
        (begin, before), (end, after) = self._counted[0], self._counted[-1]
        return (after - before) / (end - begin) / max(1, len(self._latest))

    async def run(self) -> None:
        """Tell the viewers of new frames, for ever."""
        while True:
            self._count()
            if self._crowd:
                self._tell()
            await asyncio.sleep(1 / PER_S if self._crowd else _IDLE_S)

    def _take(self, event: Event) -> None:
        if isinstance(event, CommandReply) and event.command.origin.via == "web":
            self._desk.take(event)
        for message in self._board.take(event):
            self._crowd.tell(message)

    def _count(self) -> None:
        now = self._now()
        if not self._counted or self.frames != self._counted[-1][1]:
            self.last_s = now
        self._counted.append((now, self.frames))
        while now - self._counted[0][0] > _FPS_OVER_S:
            self._counted.popleft()

    def _tell(self) -> None:
        if self._now() - self._ticked_s >= _TICK_S:
            self._ticked_s = self._now()
            self._crowd.tell({"type": "tick"})
        for event in self.classified():
            region = event.region
            if self._told.get(region) == event.seq:
                continue
            self._told[region] = event.seq
            self._crowd.tell(messages.seen(event, self.fps))
            if self._crowd.wants_map and event.embedding is not None:
                place = self._album.place(event.embedding)
                if place is not None:
                    self._crowd.tell({"type": "point", "region": region, "x": place[0], "y": place[1]})

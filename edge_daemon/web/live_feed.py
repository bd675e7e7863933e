"""Events from the pipeline to the viewers: changes at once, classified frames PER_S times a second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from edge_daemon.domain.events import CameraLost, Classified, CommandReply, Event
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.web import messages
from edge_daemon.web.example_browser import ExampleBrowser
from edge_daemon.web.requests import CommandClient
from edge_daemon.web.state import StateCache
from edge_daemon.web.viewers import ViewerRegistry

PER_S = 8.0
MAX_UNREAD = 256
"""Longest queue of classified frames; the event loop empties it at least twice a second."""

_IDLE_S = 0.5
_FPS_WINDOW_S = 2.0
_HEARTBEAT_S = 1.0
"""The page reports a lost connection after three seconds without a message."""


class LiveFeed:
    """Hands events over to the page's thread, which owns everything else here.

    A frame costs the pipeline's thread an append and an increment, with or without viewers. `observe` is
    called in the page's thread with every classified frame, some hundred milliseconds later.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        state: StateCache,
        viewers: ViewerRegistry,
        client: CommandClient,
        browser: ExampleBrowser,
        latest_frame: LatestFrame,
        now: Callable[[], float],
        observe: Callable[[Classified], None],
    ) -> None:
        self._loop = loop
        self._state = state
        self._viewers = viewers
        self._client = client
        self._browser = browser
        self._latest_frame = latest_frame
        self._now = now
        self._observe = observe
        self._unread: deque[Classified] = deque(maxlen=MAX_UNREAD)
        self._latest: dict[str, Classified] = {}
        self._regions: set[str] = set()
        self._sent_seq: dict[str, int] = {}
        self._frame_counts: deque[tuple[float, int]] = deque()
        self._heartbeat_s = float("-inf")
        self._was_stalled = False
        self.frames = 0
        """Number of classifications so far, of all regions."""
        self.last_s = float("-inf")
        """Time of the last classification on the monotonic clock, to within half a second."""

    def handle(self, event: Event) -> None:
        """Accept an event in the pipeline's thread."""
        if isinstance(event, Classified):
            self._unread.append(event)
            self.frames += 1
        else:
            self._loop.call_soon_threadsafe(self._apply, event)

    def classified(self) -> list[Classified]:
        """Return the latest classification of each region; none while the camera is lost."""
        while self._unread:
            event = self._unread.popleft()
            self._latest[event.region] = event
            self._regions.add(event.region)
            self._observe(event)
        return list(self._latest.values())

    def results(self) -> list[messages.Message]:
        """Return the message of each region's latest classification."""
        return [messages.result(event, self.fps) for event in self.classified()]

    def heartbeat(self) -> messages.Message:
        """Return the parts that don't work, and whether the camera gives no frames."""
        stalled = self._latest_frame.is_stalled(self._now())
        return {"type": "heartbeat", "faults": self._state.faults(), "stalled": stalled}

    @property
    def fps(self) -> float:
        """Classified frames a second and region, averaged over two seconds."""
        if len(self._frame_counts) < 2:
            return 0.0
        (begin, before), (end, after) = self._frame_counts[0], self._frame_counts[-1]
        return (after - before) / (end - begin) / max(1, len(self._regions))

    async def run(self) -> None:
        """Broadcast new classifications until cancelled."""
        while True:
            self._count_frames()
            latest = self.classified()
            if self._viewers:
                self._broadcast_heartbeat()
                for event in latest:
                    self._broadcast_result(event)
            await asyncio.sleep(1 / PER_S if self._viewers else _IDLE_S)

    def _apply(self, event: Event) -> None:
        if isinstance(event, CommandReply) and event.command.origin.via == "web":
            self._client.resolve(event)
        if isinstance(event, CameraLost):
            self.classified()
            self._latest.clear()
        for message in self._state.apply(event):
            self._viewers.broadcast(message)

    def _count_frames(self) -> None:
        now = self._now()
        if not self._frame_counts or self.frames != self._frame_counts[-1][1]:
            self.last_s = now
        self._frame_counts.append((now, self.frames))
        while now - self._frame_counts[0][0] > _FPS_WINDOW_S:
            self._frame_counts.popleft()

    def _broadcast_heartbeat(self) -> None:
        now = self._now()
        stalled = self._latest_frame.is_stalled(now)
        if stalled != self._was_stalled or now - self._heartbeat_s >= _HEARTBEAT_S:
            self._heartbeat_s, self._was_stalled = now, stalled
            self._viewers.broadcast(self.heartbeat())

    def _broadcast_result(self, event: Classified) -> None:
        region = event.region
        if self._sent_seq.get(region) == event.seq:
            return
        self._sent_seq[region] = event.seq
        self._viewers.broadcast(messages.result(event, self.fps))
        if self._viewers.wants_map:
            self._broadcast_point(event)

    def _broadcast_point(self, event: Classified) -> None:
        """Show on the map what was compared with the examples, or that nothing was."""
        found = self._browser.project(event.embedding, event.object_embedding)
        place = {} if found is None else {"of": found[0], "x": found[1], "y": found[2]}
        self._viewers.broadcast({"type": "point", "region": event.region} | place)

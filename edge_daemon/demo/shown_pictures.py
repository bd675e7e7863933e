"""Frame sources of `edge-daemon try` without a camera: everything stays in view long enough to teach it."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle, islice

from edge_daemon.camera.frames import FramePacer
from edge_daemon.camera.simulator.timeline import Segment
from edge_daemon.domain.interfaces import Clock, FrameSource
from edge_daemon.domain.types import Frame

SHOWN_S = 6.0
"""Time in view of each picture or object."""

FPS = 5.0

KINDS = ("mug", "lemon", "key", None)
"""Objects on the simulated tray, in order; None is the empty tray."""

_DAY_S = 86_400


def tray_segments() -> list[Segment]:
    """Return the objects of a day on the simulated tray, each time in another pose and light."""
    kinds = islice(cycle(KINDS), int(_DAY_S / SHOWN_S))
    return [Segment(kind, int(SHOWN_S * FPS), variation) for variation, kind in enumerate(kinds)]


class HeldPictures:
    """FrameSource that shows each picture of another one for `SHOWN_S` seconds, `FPS` frames a second."""

    lossless = False

    def __init__(
        self, pictures: FrameSource, clock: Clock, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._pictures = pictures
        self._clock = clock
        self._pacer = FramePacer(FPS, clock, sleep)
        self._held: Frame | None = None
        self._next_seq = 0

    def open(self) -> None:
        """Open the pictures. Raises CameraError when there are none."""
        self._pictures.open()

    def read(self) -> Frame | None:
        """Wait for the next frame; None after the last picture. Raises CameraError for an unreadable one."""
        if self._next_seq % int(SHOWN_S * FPS) == 0 or self._held is None:
            self._held = self._pictures.read()
        if self._held is None:
            return None
        self._pacer.wait()
        seq = self._next_seq
        self._next_seq += 1
        return Frame(self._held.pixels, seq, self._clock.monotonic(), self._clock.utc())

    def close(self) -> None:
        """Close the pictures."""
        self._pictures.close()

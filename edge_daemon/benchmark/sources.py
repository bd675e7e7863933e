"""Frames from memory, for the whole daemon at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_daemon.camera.frames import FramePacer, make_frame
from edge_daemon.domain.interfaces import Clock

if TYPE_CHECKING:
    from edge_daemon.domain.types import Frame, Image

LEAD_IN = 20
_PREROLL_FPS = 20.0
_PREROLL_S = 10.0
_QUIET_S = 0.05


@dataclass(frozen=True, slots=True)
class ReplayPass:
    """So many seconds for each frame: of time, and of this process's processor time."""

    wall_s: float
    cpu_s: float


class Replay:
    """Frames as fast as they are consumed, in rounds; the bare interpreter runs between them.

    The frames before `ready` says that everything is connected come slowly and do not count. Nothing
    else works while the bare interpreter does, so what the process uses then is its own.
    """

    lossless = True

    def __init__(
        self,
        clock: Clock,
        pictures: Sequence[Image],
        bare: Callable[[], None],
        frames: int,
        rounds: int,
        ready: Callable[[], bool],
    ) -> None:
        self.whole: list[ReplayPass] = []
        self.bare: list[ReplayPass] = []
        self._clock = clock
        self._pictures = pictures
        self._bare = bare
        self._frames = frames
        self._rounds = rounds
        self._ready = ready
        self._seq = 0
        self._place: int | None = None
        self._begun = (0.0, 0.0)

    def open(self) -> None:
        """Nothing has to be claimed."""

    def read(self) -> Frame | None:
        """Return the next frame; None after the last round."""
        if self._place is None:
            self._preroll()
        elif self._place == LEAD_IN:
            self._begun = _now()
            self._place += 1
        elif self._place == LEAD_IN + self._frames:
            self.whole.append(_since(self._begun, self._frames - 1))
            self._interlude()
            self._place = 0
        else:
            self._place += 1
        if len(self.whole) == self._rounds:
            return None
        self._seq += 1
        return make_frame(self._pictures[self._seq % len(self._pictures)], self._seq, self._clock)

    def close(self) -> None:
        """Nothing has to be released."""

    def _preroll(self) -> None:
        time.sleep(1 / _PREROLL_FPS)
        if self._ready() or self._seq > _PREROLL_S * _PREROLL_FPS:
            self._place = 0

    def _interlude(self) -> None:
        time.sleep(_QUIET_S)
        for _ in range(LEAD_IN):
            self._bare()
        begun = _now()
        for _ in range(self._frames):
            self._bare()
        self.bare.append(_since(begun, self._frames))


class Camera:
    """A camera that delivers `fps` frames a second, whatever becomes of them; ends after `frames`."""

    lossless = False

    def __init__(
        self, clock: Clock, pictures: Sequence[Image], fps: float, frames: int, ready: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._pace = FramePacer(fps, clock, time.sleep)
        self._pictures = pictures
        self._frames = frames
        self._ready = ready
        self._left: int | None = None
        self._seq = 0

    def open(self) -> None:
        """Nothing has to be claimed."""

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end."""
        if self._left is None:
            time.sleep(1 / _PREROLL_FPS)
            if self._ready() or self._seq > _PREROLL_S * _PREROLL_FPS:
                self._left = self._frames
        elif self._left == 0:
            return None
        else:
            self._pace.wait()
            self._left -= 1
        self._seq += 1
        return make_frame(self._pictures[self._seq % len(self._pictures)], self._seq, self._clock)

    def close(self) -> None:
        """Nothing has to be released."""


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(begun: tuple[float, float], frames: int) -> ReplayPass:
    wall_s, cpu_s = _now()
    return ReplayPass((wall_s - begun[0]) / frames, (cpu_s - begun[1]) / frames)

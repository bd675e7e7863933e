"""Frame sources that deliver images from memory, for end-to-end measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_daemon.camera.frames import FramePacer, make_frame
from edge_daemon.domain.interfaces import Clock

if TYPE_CHECKING:
    from edge_daemon.domain.types import Frame, Image

WARM_UP = 20
"""Frames and baseline calls that are not measured at the start of each round."""

SETTLE = 400
"""Frames before the first round: 1,000 examples of 1,280 numbers are fitted, and their classifier is chosen,
within 340."""

_CONNECT_FPS = 20.0
_CONNECT_S = 10.0
_MAX_EXTENSIONS = 9
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class ReplayPass:
    """Seconds per frame in one round: wall time, and CPU time of this process."""

    wall_s: float
    cpu_s: float


class Replay:
    """Frame source as fast as its consumer, in rounds that alternate with other loops, by name.

    Frames are slow and not measured until `ready()` is true, that is, everything is connected; `settle`
    frames follow. Nothing else runs during a loop, so the CPU time of the process is the loop's.
    """

    lossless = True

    def __init__(
        self,
        clock: Clock,
        pictures: Sequence[Image],
        loops: Mapping[str, Callable[[], object]],
        frames: int,
        rounds: int,
        ready: Callable[[], bool],
        settle: int = SETTLE,
    ) -> None:
        self.daemon_passes: list[ReplayPass] = []
        self.loop_passes: dict[str, list[ReplayPass]] = {name: [] for name in loops}
        self._clock = clock
        self._pictures = pictures
        self._loops = loops
        self._frames = frames
        self._rounds = rounds
        self._ready = ready
        self._settle = settle
        self._seq = 0
        self._position: int | None = None
        self._begun = (0.0, 0.0)

    def open(self) -> None:
        """Do nothing."""

    def read(self) -> Frame | None:
        """Return the next frame; None after the last round."""
        if self._position is None:
            self._wait_until_connected()
        elif self._position == WARM_UP:
            self._begun = _now()
            self._position += 1
        elif self._position == WARM_UP + self._frames:
            self.daemon_passes.append(_since(self._begun, self._frames - 1))
            for name, loop in self._loops.items():
                self.loop_passes[name].append(self._run(loop))
            self._position = 0
        else:
            self._position += 1
        if len(self.daemon_passes) == self._rounds:
            return None
        self._seq += 1
        return make_frame(self._pictures[self._seq % len(self._pictures)], self._seq, self._clock)

    def close(self) -> None:
        """Do nothing."""

    def _wait_until_connected(self) -> None:
        time.sleep(1 / _CONNECT_FPS)
        if self._ready() or self._seq > _CONNECT_S * _CONNECT_FPS:
            self._position = -self._settle

    def _run(self, loop: Callable[[], object]) -> ReplayPass:
        time.sleep(_PAUSE_S)
        for _ in range(WARM_UP):
            loop()
        begun = _now()
        for _ in range(self._frames):
            loop()
        return _since(begun, self._frames)


class Camera:
    """Camera that delivers `fps` frames per second at its own pace and ends after `frames`.

    While a busy machine has `received` no label of them after the warm-up, it goes on, up to ten times as
    long. `received` returns the number of labels so far.
    """

    lossless = False

    def __init__(
        self, clock: Clock, pictures: Sequence[Image], fps: float, frames: int, received: Callable[[], int]
    ) -> None:
        self._clock = clock
        self._pacer = FramePacer(fps, clock, time.sleep)
        self._pictures = pictures
        self._frames = frames
        self._received = received
        self._remaining: int | None = None
        self._extensions = _MAX_EXTENSIONS
        self._seq = 0

    def open(self) -> None:
        """Do nothing."""

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end."""
        if self._remaining == 0 and self._extensions and self._received() <= WARM_UP:
            self._extensions -= 1
            self._remaining = self._frames
        if self._remaining is None:
            time.sleep(1 / _CONNECT_FPS)
            if self._received() or self._seq > _CONNECT_S * _CONNECT_FPS:
                self._remaining = self._frames
        elif self._remaining == 0:
            return None
        else:
            self._pacer.wait()
            self._remaining -= 1
        self._seq += 1
        return make_frame(self._pictures[self._seq % len(self._pictures)], self._seq, self._clock)

    def close(self) -> None:
        """Do nothing."""


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(begun: tuple[float, float], frames: int) -> ReplayPass:
    wall_s, cpu_s = _now()
    return ReplayPass((wall_s - begun[0]) / frames, (cpu_s - begun[1]) / frames)

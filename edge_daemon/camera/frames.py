"""Construction of frames from a device's pixels, and pacing to a frame rate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.lazy_picture import LazyPicture
from edge_daemon.domain.types import Frame

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

MAX_PIXELS = 64_000_000
"""Limit of width x height of a decoded picture."""

_PLAUSIBLE_AGE_S = 10.0
"""Largest age of a device's timestamp. Older and future timestamps are of another clock and are ignored."""


def make_frame(
    pixels: Image | LazyPicture,
    seq: int,
    clock: Clock,
    *,
    rotation: int = 0,
    stamp_s: float | None = None,
    owned: bool = False,
) -> Frame:
    """Return a read-only Frame that shares no memory with `pixels` (RGB uint8 HWC).

    `owned` pixels, which nobody else refers to, become the frame's without a copy if they are upright. A lazy
    picture is used as it is; its source has rotated it. `rotation` is clockwise, a multiple of 90 degrees.
    `stamp_s` is the device's time of the exposure on the monotonic clock; without it, or with one of
    another clock, the frame is of now.
    """
    if isinstance(pixels, LazyPicture):
        image: Image | LazyPicture = pixels
    elif owned and not rotation:
        pixels.setflags(write=False)
        image = pixels
    else:
        image = rotated_copy(pixels, rotation)
    now_s = clock.monotonic()
    age_s = 0.0 if stamp_s is None else now_s - stamp_s
    if not 0 <= age_s <= _PLAUSIBLE_AGE_S:
        age_s = 0.0
    return Frame(image, seq, now_s - age_s, clock.utc() - timedelta(seconds=age_s))


def rotated_copy(pixels: Image, rotation: int) -> Image:
    """Return a read-only copy turned clockwise by `rotation`, a multiple of 90 degrees."""
    import numpy as np

    image = np.array(np.rot90(pixels, -rotation // 90), order="C")
    image.setflags(write=False)
    return image


def sensor_size(size: tuple[int, int], rotation: int) -> tuple[int, int]:
    """Return the device's size for which the rotated frame has `size` (width, height)."""
    return size if rotation % 180 == 0 else (size[1], size[0])


class FramePacer:
    """Limiter to `fps` frames per second; None never waits."""

    def __init__(self, fps: float | None, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._period_s = 1 / fps if fps else 0.0
        self._clock = clock
        self._sleep = sleep
        self._due_s = float("-inf")

    def wait(self) -> None:
        """Sleep until the next frame is due. A stall resets the schedule."""
        now = self._clock.monotonic()
        if now < self._due_s:
            self._sleep(self._due_s - now)
            self._due_s += self._period_s
        else:
            late = now - self._due_s
            self._due_s = (self._due_s if late < self._period_s else now) + self._period_s

"""Frames as JPEGs, encoded only when a viewer asks, at most a few a second, once for all viewers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from edge_daemon.domain.types import Frame
from edge_daemon.imaging.image_io import encode_jpeg
from edge_daemon.system.latest_frame import LatestFrame

LONGER_SIDE_PX = 640
QUALITY = 70
PER_S = 8.0
_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class PreviewImage:
    """A frame as JPEG; `width` and `height` are the frame's own, in pixels."""

    seq: int
    width: int
    height: int
    jpeg: bytes

    def packed(self) -> bytes:
        """Return number, width and height (big-endian, 4 + 2 + 2 bytes) and the JPEG."""
        return struct.pack(">IHH", self.seq % 2**32, self.width, self.height) + self.jpeg


def encode(frame: Frame) -> PreviewImage:
    """Encode a frame for the page."""
    height, width = frame.image.shape[:2]
    return PreviewImage(frame.seq, width, height, encode_jpeg(frame.image, LONGER_SIDE_PX, QUALITY))


class PreviewEncoder:
    """Gives each viewer a picture later than its last. Used from the page's thread alone.

    `executor` does the waiting and encoding; `now` is the monotonic clock.
    """

    def __init__(
        self, preview: LatestFrame, executor: Executor, now: Callable[[], float], per_s: float = PER_S
    ) -> None:
        self._preview = preview
        self._executor = executor
        self._now = now
        self._period_s = 1 / per_s
        self._lock = asyncio.Lock()
        self._latest: PreviewImage | None = None
        self._encoded_s = float("-inf")
        self.encoded = 0
        """PreviewEncoder encoded so far."""

    async def after(self, seq: int) -> PreviewImage | None:
        """Return the latest picture once it is another than number `seq`; None when none came in a while."""
        async with self._lock:
            age_s = self._now() - self._encoded_s
            if self._latest is not None and self._latest.seq != seq and age_s < self._period_s:
                return self._latest
            await asyncio.sleep(max(0.0, self._period_s - age_s))
            loop = asyncio.get_running_loop()
            picture = await loop.run_in_executor(self._executor, self._next, seq)
            if picture is not None:
                self._latest, self._encoded_s = picture, self._now()
                self.encoded += 1
            return picture

    def _next(self, seq: int) -> PreviewImage | None:
        frame = self._preview.wait(seq, _WAIT_S)
        return None if frame is None else encode(frame)

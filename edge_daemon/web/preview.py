"""JPEG previews: encoded on request only, at most PER_S a second, once for all viewers."""

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
_WAIT_S = 0.1
"""Longest time that a wait for a frame keeps the executor from decoding pictures that are sent."""


@dataclass(frozen=True, slots=True)
class PreviewImage:
    """A frame as JPEG; `width` and `height` are those of the frame, in pixels."""

    seq: int
    width: int
    height: int
    jpeg: bytes

    def packed(self) -> bytes:
        """Return number, width and height (big-endian, 4 + 2 + 2 bytes) and the JPEG."""
        return struct.pack(">IHH", self.seq % 2**32, self.width, self.height) + self.jpeg


def encode(frame: Frame) -> PreviewImage:
    """Encode a frame for the page."""
    image = frame.at_least(LONGER_SIDE_PX / max(frame.size))
    return PreviewImage(frame.seq, *frame.size, encode_jpeg(image, LONGER_SIDE_PX, QUALITY))


class PreviewEncoder:
    """Returns each viewer an image newer than its last one. Used from the page's thread alone.

    `executor` waits for frames and encodes them; `now` is the monotonic clock.
    """

    def __init__(
        self, frames: LatestFrame, executor: Executor, now: Callable[[], float], per_s: float = PER_S
    ) -> None:
        self._frames = frames
        self._executor = executor
        self._now = now
        self._period_s = 1 / per_s
        self._lock = asyncio.Lock()
        self._latest: PreviewImage | None = None
        self._encoded_s = float("-inf")
        self.encoded = 0
        """Number of images encoded so far."""

    async def next_after(self, seq: int) -> PreviewImage | None:
        """Return the latest image as soon as its number is not `seq`; None if none comes soon."""
        async with self._lock:
            age_s = self._now() - self._encoded_s
            if self._latest is not None and self._latest.seq != seq and age_s < self._period_s:
                return self._latest
            await asyncio.sleep(max(0.0, self._period_s - age_s))
            loop = asyncio.get_running_loop()
            image = await loop.run_in_executor(self._executor, self._encode_next, seq)
            if image is not None:
                self._latest, self._encoded_s = image, self._now()
                self.encoded += 1
            return image

    def _encode_next(self, seq: int) -> PreviewImage | None:
        frame = self._frames.wait(seq, _WAIT_S)
        return None if frame is None else encode(frame)

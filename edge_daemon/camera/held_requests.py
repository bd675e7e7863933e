"""picamera2's completed requests that are held while someone may still want their large picture."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from edge_daemon.camera.frames import rotated_copy
from edge_daemon.camera.second_stream import SmallStream
from edge_daemon.camera.yuv import rgb_of_yuv420

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

log = logging.getLogger(__name__)

MAX_HELD = 4
"""Frames whose buffers are kept from the camera: one that waits, one in the pipeline, and two older ones."""

REQUEST_FAULTS = (RuntimeError, OSError, ValueError)
"""Exceptions of libcamera's bindings and picamera2; a missed deadline is an OSError too."""


class HeldRequest:
    """A completed request with a large and a small picture. Any thread may copy them while it is held.

    `rotation` is clockwise. When nobody refers to it any more, its request is put into `unused`; the capture
    thread gives it back to the camera.
    """

    def __init__(self, request: Any, rotation: int, small: SmallStream, unused: deque[Any]) -> None:
        self._request = request
        self._rotation = rotation
        self._small = small
        self._unused = unused
        self._lock = threading.Lock()

    def copy_large(self) -> Image | None:
        """Return the large picture, RGB uint8 HWC; None after the release."""
        return self._turned(self._copy("main"))

    def copy_small(self) -> Image | None:
        """Return the small picture, RGB uint8 HWC; None after the release."""
        pixels = self._copy("lores")
        if pixels is not None and self._small.format == "YUV420":
            pixels = rgb_of_yuv420(pixels, self._small.size)
        return self._turned(pixels)

    def pop(self) -> Any:
        """Return the request, which nobody can copy any more; None if it was popped before."""
        with self._lock:
            request, self._request = self._request, None
        return request

    def __del__(self) -> None:
        # Not released here: the garbage collector may run this while picamera2 holds its lock.
        if (request := self.pop()) is not None:
            self._unused.append(request)

    def _copy(self, stream: str) -> Image | None:
        """Copy a stream's buffer; None after the release, or if it can't be copied."""
        with self._lock:
            try:
                return None if self._request is None else self._request.make_array(stream)
            except REQUEST_FAULTS as exc:
                log.debug("a picture can't be copied from its buffer: %s", exc)
                return None

    def _turned(self, pixels: Image | None) -> Image | None:
        return pixels if pixels is None or not self._rotation else rotated_copy(pixels, self._rotation)


class HeldRequests:
    """The requests of the latest frames that are in use, at most MAX_HELD. Owned by the capture thread."""

    def __init__(self) -> None:
        self._held: deque[weakref.ref[HeldRequest]] = deque()
        self._unused: deque[Any] = deque()

    def hold(self, request: Any, rotation: int, small: SmallStream) -> HeldRequest:
        """Hold a request; the oldest is released if there are too many."""
        held = HeldRequest(request, rotation, small, self._unused)
        self._held.append(weakref.ref(held))
        self._release(MAX_HELD)
        return held

    def release_unused(self) -> None:
        """Give the requests back that nobody refers to. Raises what picamera2 raises."""
        self._release(MAX_HELD)

    def release_all(self) -> None:
        """Give every request back, before the camera is closed. A fault is logged, not raised."""
        try:
            self._release(0)
        except REQUEST_FAULTS as exc:
            log.debug("a picture's buffer could not be given back: %s", exc)

    def _release(self, most: int) -> None:
        alive = [each for each in self._held if each() is not None]
        released = alive[: max(len(alive) - most, 0)]
        self._held = deque(alive[len(released) :])
        for each in released:
            if (held := each()) is not None and (request := held.pop()) is not None:
                self._unused.append(request)
        while self._unused:
            self._unused.popleft().release()

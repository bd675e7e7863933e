"""Frame source for the camera of a browser that shows the page."""

from __future__ import annotations

from edge_daemon.camera.frames import make_frame
from edge_daemon.domain.errors import CameraError, ImageError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame
from edge_daemon.system.given_pictures import GivenPictures

MAX_PIXELS = 4_000_000

STALL_S = 4.5
"""Time without a picture after which the camera counts as lost; the pipeline's own limit is five seconds."""

_IDLE_WAIT_S = 1.0


def no_pictures() -> GivenPictures:
    """Return an empty slot for the pictures."""
    return GivenPictures("no browser gives its camera; press “Use this browser's camera” on the page")


class BrowserSource:
    """Pictures that the page puts into `pictures`, as JPEG; implements interfaces.FrameSource."""

    lossless = False

    def __init__(self, clock: Clock, pictures: GivenPictures) -> None:
        self._clock = clock
        self._pictures = pictures
        self._shape: tuple[int, ...] | None = None
        self._is_open = False
        self._next_seq = 0

    def open(self) -> None:
        """Accept pictures."""
        if not self._is_open:
            self._is_open, self._shape = True, None

    def read(self) -> Frame:
        """Wait for a picture newer than the last. Raises CameraError with the reason why none comes."""
        from edge_daemon.imaging.image_io import read_image

        if not self._is_open:
            raise CameraError("the browser's camera is closed; open it before reading")
        is_given = self._pictures.is_given
        found = self._pictures.pop(STALL_S if is_given else _IDLE_WAIT_S)
        if found is None:
            stalled = f"the browser sent no picture for {STALL_S:g} s"
            raise CameraError(stalled if self._pictures.is_given else self._pictures.reason)
        asked_s, content = found
        try:
            pixels = read_image(content, "the browser's picture", MAX_PIXELS)
        except ImageError as exc:
            raise CameraError(str(exc)) from exc
        if self._shape not in (None, pixels.shape):
            height, width = pixels.shape[:2]
            raise CameraError(f"the browser's picture changed its size to {width}x{height}")
        self._shape = pixels.shape
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(pixels, seq, self._clock, stamp_s=asked_s)

    def close(self) -> None:
        """Accept no pictures; no effect if it is not open."""
        self._is_open = False

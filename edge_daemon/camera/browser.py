"""Frame source for the camera of a browser that shows the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_daemon.camera.frames import make_frame
from edge_daemon.camera.reduced_pictures import ReducedPictures, reduce_image, reduced_size
from edge_daemon.domain.errors import CameraError, ImageError
from edge_daemon.domain.interfaces import Clock
from edge_daemon.domain.types import Frame
from edge_daemon.system.picture_slot import PictureSlot

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

MAX_PIXELS = 4_000_000

STALL_S = 9.0
"""Time without a picture after which the camera is lost. The page reports a browser that sends none for
four seconds after a request, which comes up to four seconds after the last picture."""

_IDLE_WAIT_S = 1.0


def no_pictures() -> PictureSlot:
    """Return an empty slot for the pictures."""
    return PictureSlot("no browser gives its camera; press “Use this browser's camera” on the page")


class BrowserSource:
    """Pictures that the page puts into `pictures`, as JPEG; implements interfaces.FrameSource.

    They are lazy, and decoded at the scales that are needed.
    """

    lossless = False

    def __init__(self, clock: Clock, pictures: PictureSlot) -> None:
        self._clock = clock
        self._given = pictures
        self._pictures: ReducedPictures[bytes] | None = None
        self._next_seq = 0

    def open(self) -> None:
        """Accept pictures."""
        if self._pictures is None:
            self._pictures = ReducedPictures("the browser's camera", _Decoder().decode, reduce_image)

    def read(self) -> Frame:
        """Wait for a picture newer than the last. Raises CameraError with the reason why none comes."""
        if self._pictures is None:
            raise CameraError("the browser's camera is closed; open it before reading")
        is_given = self._given.is_given
        found = self._given.pop(STALL_S if is_given else _IDLE_WAIT_S)
        if found is None:
            stalled = f"the browser sent no picture for {STALL_S:g} s"
            raise CameraError(stalled if self._given.is_given else self._given.reason)
        asked_s, content = found
        picture = self._pictures.add(content)
        seq = self._next_seq
        self._next_seq += 1
        return make_frame(picture, seq, self._clock, stamp_s=asked_s)

    def close(self) -> None:
        """Accept no pictures; no effect if it is not open."""
        self._pictures = None


class _Decoder:
    """Decodes the pictures of one open camera, which all have one size."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def decode(self, content: bytes, reduction: int) -> Image:
        """Return the picture with its sides divided. Raises CameraError."""
        from edge_daemon.imaging.image_io import read_scaled

        def size_for(size: tuple[int, int]) -> tuple[int, int]:
            if self._size not in (None, size):
                raise CameraError(f"the browser's picture changed its size to {size[0]}x{size[1]}")
            self._size = size
            return reduced_size(size, reduction)

        try:
            return read_scaled(content, "the browser's picture", size_for, MAX_PIXELS)
        except ImageError as exc:
            raise CameraError(str(exc)) from exc

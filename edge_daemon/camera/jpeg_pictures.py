"""Lazy pictures of a camera that sends JPEG: decoded at the scales that are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_daemon.camera.frames import rotated_copy
from edge_daemon.camera.opencv import decode_jpeg, reduce_image
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.lazy_picture import LazyPicture

if TYPE_CHECKING:
    from edge_daemon.camera.opencv import Jpeg
    from edge_daemon.domain.types import Image

_REDUCTIONS = (8, 4, 2, 1)
"""Divisors of both sides at which libjpeg decodes, skipping a part of the work."""

_SCALES = tuple(1 / reduction for reduction in _REDUCTIONS)


class JpegPictures:
    """Makes the pictures of one open camera. Owned by the capture thread.

    The first picture is decoded in full, and each later one at the scales that consumers asked of the one
    before, so that the capture thread decodes while the pipeline thread computes. `rotation` is clockwise.
    """

    def __init__(self, device: str, rotation: int) -> None:
        self._device = device
        self._rotation = rotation
        self._size: tuple[int, int] | None = None
        self._last: LazyPicture | None = None

    def add(self, jpeg: Jpeg) -> LazyPicture:
        """Return the picture of a JPEG. Raises CameraError if it is damaged or has another size."""
        if self._size is None:
            height, width = self._decode(jpeg, 1).shape[:2]
            self._size = width, height
        expected = {1.0} if self._last is None else self._last.expected_next()

        def load(scale: float, larger: Image | None) -> Image:
            return self._load(jpeg, scale, larger)

        picture = LazyPicture(self._size, _SCALES, load, expected)
        picture.preload()
        self._last = picture
        return picture

    def _load(self, jpeg: Jpeg, scale: float, larger: Image | None) -> Image:
        assert self._size is not None
        wanted = -(-self._size[0] // round(1 / scale)), -(-self._size[1] // round(1 / scale))
        if larger is not None:
            return reduce_image(larger, wanted)
        image = self._decode(jpeg, round(1 / scale))
        if (image.shape[1], image.shape[0]) != wanted:
            raise CameraError(f"{self._device} changed the size of its picture; opened again")
        return image

    def _decode(self, jpeg: Jpeg, reduction: int) -> Image:
        image = decode_jpeg(jpeg, reduction)
        if image is None:
            raise CameraError(f"{self._device} sent a picture that can't be decoded; opened again")
        return rotated_copy(image, self._rotation) if self._rotation else image

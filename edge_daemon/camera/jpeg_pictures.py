"""Lazy pictures of a USB camera that sends JPEG: decoded by OpenCV at the scales that are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_daemon.camera.frames import rotated_copy
from edge_daemon.camera.opencv import decode_jpeg, reduce_image
from edge_daemon.camera.reduced_pictures import ReducedPictures
from edge_daemon.domain.errors import CameraError

if TYPE_CHECKING:
    from edge_daemon.camera.opencv import Jpeg
    from edge_daemon.domain.lazy_picture import LazyPicture
    from edge_daemon.domain.types import Image


class JpegPictures:
    """Makes the pictures of one open camera. Owned by the capture thread. `rotation` is clockwise."""

    def __init__(self, device: str, rotation: int) -> None:
        self._device = device
        self._rotation = rotation
        self._pictures = ReducedPictures(device, self._decode, reduce_image)

    def add(self, jpeg: Jpeg) -> LazyPicture:
        """Return the picture of a JPEG. Raises CameraError if it is damaged or has another size."""
        return self._pictures.add(jpeg)

    def _decode(self, jpeg: Jpeg, reduction: int) -> Image:
        image = decode_jpeg(jpeg, reduction)
        if image is None:
            raise CameraError(f"{self._device} sent a picture that can't be decoded; opened again")
        return rotated_copy(image, self._rotation) if self._rotation else image

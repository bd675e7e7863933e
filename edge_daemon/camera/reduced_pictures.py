"""Lazy pictures whose decoder skips a part of the work at a reduced scale."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.lazy_picture import LazyPicture

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Encoded = TypeVar("Encoded")

_REDUCTIONS = (8, 4, 2, 1)
"""Divisors of both sides at which libjpeg decodes, skipping a part of the work."""

_SCALES = tuple(1 / reduction for reduction in _REDUCTIONS)


def reduced_size(size: tuple[int, int], reduction: int) -> tuple[int, int]:
    """Return width and height at 1 / `reduction`, rounded up as libjpeg does."""
    return -(-size[0] // reduction), -(-size[1] // reduction)


def reduce_image(image: Image, size: tuple[int, int]) -> Image:
    """Return the picture at a smaller size, width and height, by Pillow."""
    from edge_daemon.imaging.image_io import resize_image

    return resize_image(image, size)


class ReducedPictures(Generic[Encoded]):
    """Makes the pictures of one open camera. Owned by the capture thread.

    The first picture is decoded in full, and each later one at the scales that consumers asked of the one
    before, so that the capture thread decodes while the pipeline thread computes. `decode` returns an encoded
    picture at 1 / 1, 2, 4 or 8 of its sides, None if its source has released it; it raises CameraError.
    `reduce` returns a picture at a smaller size, by the mean of its pixels.
    """

    def __init__(
        self,
        camera: str,
        decode: Callable[[Encoded, int], Image | None],
        reduce: Callable[[Image, tuple[int, int]], Image],
    ) -> None:
        self._camera = camera
        self._decode = decode
        self._reduce = reduce
        self._size: tuple[int, int] | None = None
        self._last: LazyPicture | None = None

    def expected(self) -> frozenset[float]:
        """Return the scales at which consumers will probably need the next picture."""
        return frozenset({1.0} if self._last is None else self._last.expected_next())

    def add(self, encoded: Encoded, expected: frozenset[float] | None = None) -> LazyPicture:
        """Return the lazy picture, decoded at the `expected` scales, by default those of now.

        Raises CameraError if it is damaged or has another size.
        """
        if self._size is None:
            self._size = self._full_size(encoded)
        size = self._size

        def load(scale: float, larger: Image | None) -> Image | None:
            return self._load(encoded, reduced_size(size, round(1 / scale)), round(1 / scale), larger)

        picture = LazyPicture(size, _SCALES, load, expected or self.expected())
        picture.preload()
        self._last = picture
        return picture

    def _full_size(self, encoded: Encoded) -> tuple[int, int]:
        image = self._decode(encoded, 1)
        assert image is not None
        return image.shape[1], image.shape[0]

    def _load(
        self, encoded: Encoded, wanted: tuple[int, int], reduction: int, larger: Image | None
    ) -> Image | None:
        if larger is not None:
            return self._reduce(larger, wanted)
        image = self._decode(encoded, reduction)
        if image is not None and (image.shape[1], image.shape[0]) != wanted:
            raise CameraError(f"{self._camera} changed the size of its picture; opened again")
        return image

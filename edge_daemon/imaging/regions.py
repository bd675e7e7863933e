"""Regions of interest: boxes in a frame, and crops of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from edge_daemon.domain.errors import ImageError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Frame, Image


class Box(Struct, frozen=True):
    """A rectangle by its top left corner and size.

    The numbers are fractions of the frame if all four are at most 1, else pixels (also fractional ones).
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def relative(self) -> bool:
        """True if the numbers are fractions of the frame."""
        return max(self.x, self.y, self.width, self.height) <= 1

    def pixels(self, frame_width: int, frame_height: int) -> Box:
        """Return the box in pixels of a frame. Raises ImageError if it is empty or exceeds the frame.

        Fractions are rounded to whole pixels: 0.33 is not meant to a hundredth of a pixel.
        """
        box = self._scaled(frame_width, frame_height) if self.relative else self
        inside = box.x >= 0 and box.y >= 0 and box.width >= 1 and box.height >= 1
        if not (inside and box.x + box.width <= frame_width and box.y + box.height <= frame_height):
            raise ImageError(
                f"region {self} does not fit a frame of {frame_width}x{frame_height}; "
                "give [x, y, width, height] as fractions of the frame, or pixels inside it"
            )
        return box

    def _scaled(self, frame_width: int, frame_height: int) -> Box:
        left, top = round(self.x * frame_width), round(self.y * frame_height)
        right = round((self.x + self.width) * frame_width)
        bottom = round((self.y + self.height) * frame_height)
        return Box(left, top, right - left, bottom - top)

    def __str__(self) -> str:
        """Return the box as the configuration writes it."""
        return f"[{self.x:g}, {self.y:g}, {self.width:g}, {self.height:g}]"


WHOLE = Box(0, 0, 1, 1)


def crop(image: Image, box: Box) -> Image:
    """Return the part of an RGB uint8 HWC image inside `box`.

    A view if the box has whole pixels, else a copy, interpolated bilinearly at the same scale.
    Raises ImageError if the box does not fit.
    """
    if image.ndim != 3:
        raise ImageError(f"expected a picture of height x width x 3, got an array of shape {image.shape}")
    pixels = box.pixels(image.shape[1], image.shape[0])
    if all(float(edge).is_integer() for edge in (pixels.x, pixels.y, pixels.width, pixels.height)):
        left, top = int(pixels.x), int(pixels.y)
        return image[top : top + int(pixels.height), left : left + int(pixels.width)]
    from PIL import Image as Pillow

    size = (round(pixels.width), round(pixels.height))
    edges = (pixels.x, pixels.y, pixels.x + pixels.width, pixels.y + pixels.height)
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.BILINEAR, box=edges))


def crop_frame(frame: Frame, box: Box | None, scale: float = 1.0) -> Image:
    """Return the part of a frame inside `box` (None: all), at a scale of at least `scale`.

    As `crop` at full size; in a reduced picture the box is rounded to whole pixels, one at least. Raises
    ImageError.
    """
    image = frame.at_least(scale)
    if box is None:
        return image
    width, height = frame.size
    if image.shape[:2] == (height, width):
        return crop(image, box)
    part = box.pixels(width, height)
    columns = _reduced(part.x / width, part.width / width, image.shape[1])
    rows = _reduced(part.y / height, part.height / height, image.shape[0])
    return image[rows, columns]


def _reduced(begin: float, length: float, pixels: int) -> slice:
    """Return a part of an axis, given as fractions, in whole pixels: one at least."""
    first = min(round(begin * pixels), pixels - 1)
    return slice(first, max(first + 1, round((begin + length) * pixels)))

"""Cut a region of interest out of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.domain.errors import ImageError

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle from its top left corner.

    Fractions of the frame when all four numbers are at most 1, else pixels (which may be fractional).
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def relative(self) -> bool:
        """Whether the numbers are fractions of the frame."""
        return max(self.x, self.y, self.width, self.height) <= 1

    def pixels(self, frame_width: int, frame_height: int) -> Box:
        """Return the box in pixels of a frame. Raises ImageError when it is empty or reaches outside.

        Fractions are rounded to whole pixels: whoever writes 0.33 does not mean a hundredth of a pixel.
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
        """Write the box as the configuration does."""
        return f"[{self.x:g}, {self.y:g}, {self.width:g}, {self.height:g}]"


WHOLE = Box(0, 0, 1, 1)


def crop(image: Image, box: Box) -> Image:
    """Return the part of an RGB uint8 HWC image inside `box`.

    A view when the box lies on whole pixels; otherwise a copy, interpolated bilinearly at the
    box's own scale. Raises ImageError when the box does not fit.
    """
    if image.ndim != 3:
        raise ImageError(f"expected a picture of height x width x 3, got an array of shape {image.shape}")
    place = box.pixels(image.shape[1], image.shape[0])
    if all(float(edge).is_integer() for edge in (place.x, place.y, place.width, place.height)):
        left, top = int(place.x), int(place.y)
        return image[top : top + int(place.height), left : left + int(place.width)]
    from PIL import Image as Pillow

    size = (round(place.width), round(place.height))
    edges = (place.x, place.y, place.x + place.width, place.y + place.height)
    return np.asarray(Pillow.fromarray(image).resize(size, Pillow.Resampling.BILINEAR, box=edges))

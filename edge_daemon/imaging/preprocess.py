"""Turn any RGB picture into what a model's input tensor takes: fit, resize, grey, quantise.

Pillow's bilinear filter widens with the reduction (antialiasing), as in the models' training; a filter of
four pixels would be faster and alias. Where the interpreter shrinks a picture of that size itself (see
`build_resize_graph`), it does: from 480x480 to 224 px in 0.19 ms instead of 1.6, to 128 px in 0.10 instead
of 0.84 (one x86-64 core). Its pixels are 0.5 to 1 of 255 off on average, the cosine of the embeddings is
0.993 or more on average: sensor noise of 3 of 255 costs as much. All other sizes go to Pillow, whose
`reducing_gap=1.5` averages whole blocks first, down to no less than 1.5 times the target.

Regions that aren't square are better stretched, and small ones enlarged by the bicubic filter: of digits of
8 x 10 pixels 71 % are named right, instead of 67 % by their middle square, bilinear (docs/regions.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ImageError, ModelError
from edge_daemon.imaging.input_range import CONVENTIONS, MINUS_ONE_TO_ONE, InputRange

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

CropMode: TypeAlias = Literal["center", "squash"]
"""center: the largest centred part in the model's proportions; squash: the whole picture, distorted."""

_FILTERS = {"center": "bilinear", "squash": "bicubic"}
_ID_WORDS = {"center": "square", "squash": "stretch"}
"""Part of the embedding space's id: stored examples depend on these words."""

_REDUCING_GAP = 1.5


@dataclass(frozen=True, slots=True)
class InputTensor:
    """What a model takes: 1 x height x width x channels, real value = (number - zero_point) * scale.

    `dtype` is uint8, int8 or float32; `channels` 3 (RGB) or 1 (grey). A float tensor has scale 0.
    """

    height: int
    width: int
    channels: int
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def __str__(self) -> str:
        """Name the tensor as error messages do."""
        return f"{self.width}x{self.height}x{self.channels} {self.dtype}"


class Preprocessor:
    """Prepare pictures for one input tensor. `id` names all that changes the numbers.

    `shrink` is a faster way to make a picture smaller, which returns None for sizes it has none for.
    `values` is what the model was trained to see for black and white, None for what `pixel_table` assumes.
    """

    def __init__(
        self,
        target: InputTensor,
        crop: CropMode = "center",
        shrink: Callable[[Image, tuple[int, int]], Image | None] | None = None,
        values: InputRange | None = None,
    ) -> None:
        self.target = target
        self._crop = crop
        self._filter = _FILTERS[crop]
        self._shrink = shrink if crop == "center" else None
        self.id = f"{_ID_WORDS[crop]}-{self._filter}" + ("-grey" if target.channels == 1 else "")
        self._table = pixel_table(target, values)
        if values is not None and not np.array_equal(self._table, pixel_table(target)):
            self.id += f"-{values}"
        self._table_is_identity = np.array_equal(self._table, np.arange(256)) and target.dtype == "uint8"

    def __call__(self, image: Image) -> npt.NDArray[np.generic]:
        """Return 1 x H x W x C numbers for the tensor, perhaps a view of the picture. Raises ImageError."""
        pixels = self.pixels(image)
        return (pixels if self._table_is_identity else self._numbers(pixels))[np.newaxis]

    def pixels(self, image: Image) -> Image:
        """Return the fitted picture at the model's size, H x W x C uint8, before quantisation.

        One of that size already is returned as it is, not copied.
        """
        check_image(image)
        part = centred(image, self.target.width / self.target.height) if self._crop == "center" else image
        if self.target.channels == 3 and part.shape[:2] == (self.target.height, self.target.width):
            return part  # the camera has scaled it
        if self._shrink is not None and self.target.channels == 3:
            small = self._shrink(part, (self.target.height, self.target.width))
            if small is not None:
                return small
        return self._resized(part)

    def _numbers(self, pixels: Image) -> npt.NDArray[np.generic]:
        if self._table.ndim == 1:
            return self._table.take(pixels)
        return self._table[np.arange(len(self._table)), pixels]

    def _resized(self, image: Image) -> Image:
        # Late, as a camera's pictures are seldom of a size that comes here: 13 ms of the start.
        from PIL import Image as Pillow

        picture = Pillow.fromarray(image).resize(
            (self.target.width, self.target.height),
            Pillow.Resampling[self._filter.upper()],
            reducing_gap=_REDUCING_GAP,
        )
        if self.target.channels == 1:
            return np.asarray(picture.convert("L"))[:, :, np.newaxis]
        return np.asarray(picture)


def check_image(image: Image) -> None:
    """Raise ImageError unless `image` is RGB, uint8, height x width x 3."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(
            f"expected an RGB picture (uint8, height x width x 3), got {image.dtype} of shape {image.shape}"
        )


def centred(image: Image, proportion: float) -> Image:
    """Return a view of the largest centred part whose width is `proportion` times its height."""
    height, width = image.shape[:2]
    part_width = max(1, min(width, round(height * proportion)))
    part_height = max(1, min(height, round(width / proportion)))
    left, top = (width - part_width) // 2, (height - part_height) // 2
    return image[top : top + part_height, left : left + part_width]


def pixel_table(target: InputTensor, values: InputRange | None = None) -> npt.NDArray[np.generic]:
    """Return the tensor's number for each pixel value 0 to 255: 256, or channels x 256 where they differ.

    Without `values`, float models get -1 to 1, as MobileNets and Teachable Machine's take it. Of a quantised
    tensor the scale and zero point tell which real range it was trained on (-1 to 1, 0 to 1 or 0 to 255).
    Where that comes out within two steps of the pixel itself (less 128 for int8), the pixel itself is taken:
    quantised models are trained and published with plain pixels, and a rounded detour would differ.
    """
    if values is not None and len(values.black) not in (1, target.channels):
        raise ModelError(f"the model takes {target}, its input range is for {len(values.black)} channels")
    if target.dtype == "float32":
        return _real(values or MINUS_ONE_TO_ONE).astype(np.float32)
    if target.dtype not in ("uint8", "int8"):
        raise ModelError(f"the model takes {target}; inputs can be uint8, int8 or float32")
    kind = np.dtype(target.dtype)
    lowest = int(np.iinfo(kind).min)
    plain = np.arange(256) + lowest
    if target.scale <= 0:
        return plain.astype(kind)
    real = _real(values or _trained_range(target, lowest))
    numbers = np.clip(np.round(real / target.scale) + target.zero_point, lowest, lowest + 255)
    return (plain if np.abs(numbers - plain).max() <= 2 else numbers).astype(kind)


def _real(values: InputRange) -> npt.NDArray[np.float64]:
    """Return the real value of each pixel value, in a row for each channel where they differ."""
    rows = [
        low + (high - low) * np.arange(256) / 255
        for low, high in zip(values.black, values.white, strict=True)
    ]
    return rows[0] if len(rows) == 1 else np.stack(rows)


def _trained_range(target: InputTensor, lowest: int) -> InputRange:
    low = (lowest - target.zero_point) * target.scale
    high = (lowest + 255 - target.zero_point) * target.scale

    def distance(known: InputRange) -> float:
        span = known.white[0] - known.black[0]
        return abs(low - known.black[0]) / span + abs(high - known.white[0]) / span

    nearest = min(CONVENTIONS, key=distance)
    return nearest if distance(nearest) < 0.5 else InputRange((low,), (high,))

"""Preprocessing of an RGB picture for a model's input tensor: crop, resize, grey, quantise.

Pillow's bilinear filter widens with the reduction (antialiasing), as in the models' training; a filter of
four pixels would be faster and alias. The TFLite resizer (`build_resize_graph`) is used for the sizes that it
supports: 480x480 to 224 px takes 0.19 ms instead of 1.6, to 128 px 0.10 instead of 0.84 (one x86-64 core).
Its pixels differ by 0.5 to 1 of 255 on average, and the mean cosine of the embeddings is 0.993 or more:
sensor noise of 3 of 255 has the same effect. Pillow resizes all other sizes; `reducing_gap=1.5` averages
whole blocks first, down to 1.5 times the target.

Squashing suits regions that aren't square, and the bicubic filter suits small ones: of digits of 8 x 10
pixels 71 % are classified correctly, against 67 % with the centre square and the bilinear filter
(docs/regions.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.domain.errors import ImageError, ModelError
from edge_daemon.imaging.input_range import CONVENTIONS, MINUS_ONE_TO_ONE, InputRange

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

CropMode: TypeAlias = Literal["center", "squash"]
"""center: the largest centred part with the model's aspect ratio; squash: the whole picture, distorted."""

_FILTERS = {"center": "bilinear", "squash": "bicubic"}
_ID_WORDS = {"center": "square", "squash": "stretch"}
"""Words of the embedding space's id. Stored examples depend on them, so they never change."""

_REDUCING_GAP = 1.5


class InputTensor(Struct, frozen=True):
    """A model's input: 1 x height x width x channels, real value = (number - zero_point) * scale.

    `dtype` is uint8, int8 or float32; `channels` 3 (RGB) or 1 (grey). A float tensor has scale 0.
    """

    height: int
    width: int
    channels: int
    dtype: str
    scale: float = 0.0
    zero_point: int = 0

    def __str__(self) -> str:
        """Return size and type as error messages show them."""
        return f"{self.width}x{self.height}x{self.channels} {self.dtype}"


class Preprocessor:
    """Preprocessing for one input tensor. `id` names every setting that changes the result.

    `resize` is a faster downscaler, which returns None for sizes that it does not support.
    `values` is the model's input range; None is the range that `pixel_table` assumes.
    """

    def __init__(
        self,
        target: InputTensor,
        crop: CropMode = "center",
        resize: Callable[[Image, tuple[int, int]], Image | None] | None = None,
        values: InputRange | None = None,
    ) -> None:
        if crop not in _FILTERS:
            raise ModelError(f"crop must be {' or '.join(_FILTERS)}, got {crop!r}")
        self.target = target
        self._crop = crop
        self._filter = _FILTERS[crop]
        self._resize = resize if crop == "center" else None
        self.id = f"{_ID_WORDS[crop]}-{self._filter}" + ("-grey" if target.channels == 1 else "")
        self._table = pixel_table(target, values)
        if values is not None and not np.array_equal(self._table, pixel_table(target)):
            self.id += f"-{values}"
        self._table_is_identity = np.array_equal(self._table, np.arange(256)) and target.dtype == "uint8"

    def __call__(self, image: Image) -> npt.NDArray[np.generic]:
        """Return the 1 x H x W x C tensor, which may be a view of the picture. Raises ImageError."""
        pixels = self.pixels(image)
        return (pixels if self._table_is_identity else self._numbers(pixels))[np.newaxis]

    def pixels(self, image: Image) -> Image:
        """Return the cropped and resized picture, H x W x C uint8, before quantisation.

        A picture of the model's size is returned without a copy.
        """
        check_image(image)
        part = center_crop(image, self.target.width / self.target.height) if self._crop == "center" else image
        if self.target.channels == 3 and part.shape[:2] == (self.target.height, self.target.width):
            return part  # the camera has scaled it
        if self._resize is not None and self.target.channels == 3:
            small = self._resize(part, (self.target.height, self.target.width))
            if small is not None:
                return small
        return self._resize_by_pillow(part)

    def min_scale(self, width: int, height: int) -> float:
        """Return the scale at which a picture of this size has the model's input in its used part."""
        return max(self.target.width / width, self.target.height / height)

    def _numbers(self, pixels: Image) -> npt.NDArray[np.generic]:
        if self._table.ndim == 1:
            return self._table.take(pixels)
        return self._table[np.arange(len(self._table)), pixels]

    def _resize_by_pillow(self, image: Image) -> Image:
        # Late, as few camera sizes need Pillow: its import takes 13 ms.
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
    """Raise ImageError unless `image` is RGB uint8 HWC and not empty."""
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"expected an RGB picture (uint8, height x width x 3), got {type(image).__name__}; "
            "np.asarray(PIL.Image.open(path).convert('RGB')) reads a file"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(
            f"expected an RGB picture (uint8, height x width x 3), got {image.dtype} of shape {image.shape}"
        )


def center_crop(image: Image, aspect_ratio: float) -> Image:
    """Return a view of the largest centred part whose width is `aspect_ratio` times its height."""
    height, width = image.shape[:2]
    part_width = max(1, min(width, round(height * aspect_ratio)))
    part_height = max(1, min(height, round(width / aspect_ratio)))
    left, top = (width - part_width) // 2, (height - part_height) // 2
    return image[top : top + part_height, left : left + part_width]


def pixel_table(target: InputTensor, values: InputRange | None = None) -> npt.NDArray[np.generic]:
    """Return the tensor's value for each pixel value 0 to 255: 256 values, or channels x 256 if these differ.

    Without `values`, float models get -1 to 1, the range of MobileNets and Teachable Machine's models. For a
    quantised tensor the scale and zero point give the real range of the training (-1 to 1, 0 to 1 or 0 to
    255). If the result is within two steps of the pixel itself (minus 128 for int8), the pixel itself is
    used: quantised models are trained and published with plain pixels.
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
    """Return the real value of each pixel value; one row per channel if the channels differ."""
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

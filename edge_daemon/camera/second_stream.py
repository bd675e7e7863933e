"""Choice of the second stream that an image processor scales, and its comparison with the large picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

OVERSAMPLING = 1.5
"""Size of the second stream relative to the model's need. It is resized as every picture is, so that the
embedding depends little on the processor's own filter (docs/measurements/speed.md)."""

_MAX_SCALES = {"BGR888": 0.71, "YUV420": 0.3}
"""Largest scale at which the second stream takes less time than the picture; YUV is converted."""

_MAX_BUFFER_BYTES = 64 << 20
"""Largest size of all buffers: the memory for them is scarce."""

_ROUNDING = 1e-6
_MAX_OFF = 3.0
_MAX_OFF_SHARE = 0.75
_MAX_TINT = 6.0
_MIN_DETAIL = 3.0


class SmallStream(Struct, frozen=True):
    """The second stream: its format, BGR888 or YUV420, and its width and height before the rotation."""

    format: str
    size: tuple[int, int]


def small_stream(
    large: tuple[int, int], min_scale: float, buffers: int, *, has_rgb: bool
) -> SmallStream | None:
    """Return the second stream of a picture of size `large`, of its proportions; None where it is no gain.

    `min_scale` is the scale that the pipeline needs. `has_rgb`: the processor scales to RGB.
    """
    format_, scale = "BGR888" if has_rgb else "YUV420", OVERSAMPLING * min_scale
    memory = buffers * 3 * large[0] * large[1] * (1 + scale**2)
    if scale > _MAX_SCALES[format_] + _ROUNDING or memory > _MAX_BUFFER_BYTES:
        return None
    # Sizes of streams are even.
    width, height = (2 * math.ceil(length * scale / 2 - _ROUNDING) for length in large)
    return SmallStream(format_, (width, height))


def agrees(large: Image, small: Image) -> bool | None:
    """Return whether a small picture is the reduced large one; None where the picture shows too little.

    It is not if it has another crop or other colours, or if its pixels are samples, not means: a processor
    that skips pixels gives other embeddings. The measure is the mean difference of the brightness from the
    mean of the pixels, compared with that of single pixels.
    """
    import numpy as np
    from PIL import Image as Pillow

    size = small.shape[1], small.shape[0]
    grey = Pillow.fromarray(large).convert("L")
    means = np.asarray(grey.resize(size, Pillow.Resampling.BOX), np.int16)
    samples = np.asarray(grey.resize(size, Pillow.Resampling.NEAREST), np.int16)
    detail = float(np.abs(samples - means).mean())
    off = float(np.abs(np.asarray(Pillow.fromarray(small).convert("L"), np.int16) - means).mean())
    tint = float(np.abs(large.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max())
    if off > max(_MAX_OFF, _MAX_OFF_SHARE * detail) or tint > _MAX_TINT:
        return False
    return True if detail >= _MIN_DETAIL else None

"""Data augmentation: copies of a picture in other light, moved, turned, scaled and blurred."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import PIL.Image

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.imaging.random_draws import Draws


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges of the random changes.

    `gain`, `white_balance` (for each channel) and `gamma` (of its logarithm) vary by this much to either
    side of none; `shift` is a share of the side; `scales` is the share of the picture that the copy shows;
    `noise` is a standard deviation in levels of 255; `blur` the probability of half the resolution.
    """

    gain: float = 0.45
    white_balance: float = 0.3
    gamma: float = 0.5
    degrees: float = 25.0
    shift: float = 0.2
    scales: tuple[float, float] = (0.5, 1.2)
    noise: float = 8.0
    blur: float = 0.5


STRONG = Augmentation()
"""Changes about as large as those between two sessions, see docs/measurements/unknown.md."""


def augmented_copy(image: Image, rng: Draws, ranges: Augmentation = STRONG) -> Image:
    """Return a changed copy of an RGB picture, of the same size."""
    copy = _moved(PIL.Image.fromarray(image), rng, ranges)
    if rng.random() < ranges.blur:
        half = (max(1, copy.width // 2), max(1, copy.height // 2))
        copy = copy.resize(half, PIL.Image.Resampling.BOX).resize(copy.size, PIL.Image.Resampling.BILINEAR)
    pixels = _relit(np.asarray(copy), rng, ranges)
    pixels += ranges.noise * rng.standard_normal(pixels.shape, np.float32)
    result: Image = pixels.clip(0, 255).astype(np.uint8)
    return result


def _moved(picture: PIL.Image.Image, rng: Draws, ranges: Augmentation) -> PIL.Image.Image:
    """Return the picture turned, scaled and shifted; its border pixels continue outside."""
    width, height = picture.size
    margin = max(width, height) // 2
    padded = np.pad(np.asarray(picture), ((margin, margin), (margin, margin), (0, 0)), "edge")
    angle, scale = math.radians(rng.uniform(-ranges.degrees, ranges.degrees)), rng.uniform(*ranges.scales)
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    x = margin + width * (0.5 + rng.uniform(-ranges.shift, ranges.shift))
    y = margin + height * (0.5 + rng.uniform(-ranges.shift, ranges.shift))
    matrix = (
        cos,
        -sin,
        x - (cos * width - sin * height) / 2,
        sin,
        cos,
        y - (sin * width + cos * height) / 2,
    )
    return PIL.Image.fromarray(padded).transform(
        (width, height), PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR
    )


def _relit(pixels: Image, rng: Draws, ranges: Augmentation) -> npt.NDArray[np.float32]:
    """Return the pixels (float32) under another exposure, white balance and tone curve."""
    gamma = math.exp(rng.uniform(-ranges.gamma, ranges.gamma))
    gain = rng.uniform(1 - ranges.gain, 1 + ranges.gain)
    balance = rng.uniform(1 - ranges.white_balance, 1 + ranges.white_balance, 3)
    curve = 255 * gain * (np.arange(256) / 255) ** gamma
    table = (curve[:, None] * balance).astype(np.float32)
    return np.stack([table[:, channel][pixels[..., channel]] for channel in range(3)], axis=-1)

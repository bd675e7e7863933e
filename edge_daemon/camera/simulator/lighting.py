"""Lighting of a height map: one lamp above the table, the shadow, and reflections of the room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageFilter

from edge_daemon.camera.simulator.shapes import EXTENT, HeightMap

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

_SPRITE_MARGIN = 1.25
"""PixelSize of a sprite relative to its object; the margin holds the shadow."""


@dataclass(frozen=True, slots=True)
class Light:
    """One lighting of the table.

    `brightness` is a factor; `warmth` is -1 (blue) to 1 (yellow). `azimuth` and `elevation` are the lamp's
    angles in radians. `falloff`, 0 to 1, is the loss of light from the near to the far side.
    """

    brightness: float = 1.0
    warmth: float = 0.0
    azimuth: float = -2.2
    elevation: float = 0.9
    falloff: float = 0.2

    @property
    def direction(self) -> Floats:
        """Unit vector towards the lamp: right, down, up."""
        flat = np.cos(self.elevation)
        lamp = (np.cos(self.azimuth) * flat, np.sin(self.azimuth) * flat, np.sin(self.elevation))
        return np.array(lamp, np.float32)

    @property
    def gains(self) -> Floats:
        """Factors of red, green and blue."""
        tint = (1 + 0.16 * self.warmth, 1, 1 - 0.2 * self.warmth)
        return np.array([self.brightness * share for share in tint], np.float32)

    def over(self, width: int, height: int) -> Floats:
        """Return the factor of every pixel of a table: height x width x 3."""
        x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
        y = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
        towards = x * np.cos(self.azimuth) + y * np.sin(self.azimuth)
        vignette = 1.04 - 0.3 * (x * x + y * y)
        brightness = (1 + self.falloff * towards) * vignette
        factors: Floats = brightness.astype(np.float32)[..., None] * self.gains
        return factors


@dataclass(frozen=True, slots=True)
class Sprite:
    """A lit object with its shadow, composited as `picture * keep + add`.

    `keep` is height x width x 1, `add` height x width x 3 in 0 to 255. `left` and `top` are the offset of
    the sprite's corner from the object's middle, in pixels.
    """

    keep: Floats
    add: Floats
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class Pose:
    """Pose of an object: rotated by `angle`, with a half length of `scale` of the table's height.

    `tilt`, 0 to 1, shortens it along `tilt_angle`, as an oblique view does. `x` and `y` are the position
    of its middle in fractions of the table. Angles are in radians.
    """

    angle: float
    scale: float
    tilt: float
    tilt_angle: float
    x: float
    y: float


def render_sprite(height_map: HeightMap, pose: Pose, light: Light, table_height: int) -> Sprite:
    """Rotate, scale and light a height map for a table that is `table_height` pixels high."""
    unit = pose.scale * table_height
    half = int(unit * EXTENT * _SPRITE_MARGIN) + 4
    matrix = _sprite_to_map(height_map, pose, unit, half)
    albedo = np.asarray(_transform(height_map.albedo, half, matrix), np.float32)
    height = np.asarray(_transform(height_map.height, half, matrix))
    cover = np.asarray(_transform(height_map.mask, half, matrix), np.float32)[..., None] / 255
    lit = _shade(albedo, height * unit, height_map, light)
    shadow = _shadow(cover[..., 0], height * unit, light, unit)[..., None]
    return _crop_transparent((1 - shadow) * (1 - cover), lit * cover * light.gains, half)


def _crop_transparent(keep: Floats, add: Floats, half: int) -> Sprite:
    """Crop the transparent border, as the cost of a sprite grows with its size."""
    visible = keep[..., 0] < 1 - 1 / 255
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    inside = (slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1))
    return Sprite(keep[inside].copy(), add[inside].copy(), left - half, top - half)


def _sprite_to_map(height_map: HeightMap, pose: Pose, unit: float, half: int) -> tuple[float, ...]:
    """Return the affine matrix from a sprite's pixel to the height map's point."""
    shorten = _rotation(pose.tilt_angle) @ np.diag([1, 1 / (1 - pose.tilt)]) @ _rotation(-pose.tilt_angle)
    points = height_map.mask.width / (2 * EXTENT)
    matrix = _rotation(-pose.angle) @ shorten * (points / unit)
    middle = height_map.mask.width / 2 - matrix @ np.array((half, half))
    return (*matrix[0], middle[0], *matrix[1], middle[1])


def _rotation(angle: float) -> npt.NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array(((cosine, -sine), (sine, cosine)))


def _transform(layer: PIL.Image.Image, half: int, matrix: tuple[float, ...]) -> PIL.Image.Image:
    size = (2 * half, 2 * half)
    return layer.transform(size, PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR)


def _shade(albedo: Floats, height: Floats, height_map: HeightMap, light: Light) -> Floats:
    """Shade by Lambert's law, Blinn's highlight and a bright ceiling that metal reflects."""
    down, right = np.gradient(height)
    upright = 1 / np.sqrt(1 + right * right + down * down)
    normal = np.stack((-right * upright, -down * upright, upright), axis=-1)
    lamp = light.direction
    facing = np.maximum(normal @ lamp, 0) / lamp[2]
    halfway = lamp + np.array((0, 0, 1), np.float32)
    highlight = np.maximum(normal @ (halfway / np.linalg.norm(halfway)), 0)
    for _ in range(5):
        highlight = highlight * highlight  # to the power of 32, far faster than `**`
    ceiling = normal[..., 2] ** 3 * (0.75 + 0.5 * normal[..., 0] - 0.35 * normal[..., 1])
    diffuse = 0.3 + 0.62 * np.minimum(facing, 1.35)
    body = diffuse * (1 - 0.45 * height_map.metal) + 0.5 * height_map.metal * ceiling
    shine = 255 * (1 - height_map.metal) + albedo * (1.3 * height_map.metal)
    lit: Floats = albedo * body[..., None] + shine * (highlight * (0.55 * height_map.gloss))[..., None]
    return lit


def _shadow(cover: Floats, height: Floats, light: Light, unit: float) -> Floats:
    """Return the shadow, 0 to 1: a soft cast shadow and a dark contact line."""
    mask = PIL.Image.fromarray((cover * 255).astype(np.uint8))
    tall = float(np.percentile(height[cover > 0.5], 80)) if (cover > 0.5).any() else 0.0
    reach = (0.5 * tall + 0.02 * unit) / np.tan(light.elevation)
    shift = (np.cos(light.azimuth) * reach, np.sin(light.azimuth) * reach)
    cast = mask.transform(
        mask.size, PIL.Image.Transform.AFFINE, (1, 0, shift[0], 0, 1, shift[1]), PIL.Image.Resampling.BILINEAR
    )
    soft = np.asarray(cast.filter(PIL.ImageFilter.GaussianBlur(0.05 * unit)), np.float32)
    contact = np.asarray(mask.filter(PIL.ImageFilter.GaussianBlur(0.025 * unit)), np.float32)
    return 1 - (1 - soft * (0.45 / 255)) * (1 - contact * (0.35 / 255))

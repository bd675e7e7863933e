"""Plane shapes as signed distance fields, and the canvas that stacks them to a height map.

A distance is negative inside, in units of the canvas, which spans -1.1 to 1.1 in x (right) and
y (down). Heights above the table have the same unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

Field: TypeAlias = npt.NDArray[np.floating[Any]]
"""One number per point of the square canvas."""

Colour: TypeAlias = tuple[int, int, int]

EXTENT = 1.1


def disc(x: Field, y: Field, radius: float) -> Field:
    """Return the distance to a disc around the origin."""
    distance: Field = np.hypot(x, y) - radius
    return distance


def ellipse(x: Field, y: Field, half_width: float, half_height: float) -> Field:
    """Return the distance to an ellipse; exact on its edge, an estimate elsewhere."""
    share: Field = np.hypot(x / half_width, y / half_height)
    return (share - 1) * min(half_width, half_height)


def box(x: Field, y: Field, half_width: float, half_height: float, radius: float = 0.0) -> Field:
    """Return the distance to a rectangle around the origin with rounded corners."""
    dx, dy = np.abs(x) - (half_width - radius), np.abs(y) - (half_height - radius)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return outside + np.minimum(np.maximum(dx, dy), 0) - radius


def polygon(x: Field, y: Field, sides: int, apothem: float) -> Field:
    """Return the distance to a regular polygon; `apothem` is the radius of its inner circle."""
    sector = 2 * np.pi / sides
    angle = (np.arctan2(y, x) + sector / 2) % sector - sector / 2
    distance: Field = np.hypot(x, y) * np.cos(angle) - apothem
    return distance


def stroke(x: Field, y: Field, start: tuple[float, float], end: tuple[float, float], radius: float) -> Field:
    """Return the distance to a line with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    distance: Field = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy) - radius
    return distance


def rotate(x: Field, y: Field, degrees: float) -> tuple[Field, Field]:
    """Return rotated coordinates, in which a shape appears rotated clockwise in the picture."""
    cosine, sine = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    return x * cosine + y * sine, y * cosine - x * sine


def dome(distance: Field, radius: float, top: float) -> Field:
    """Return a height that rises as a quarter circle within `radius` of the edge, up to `top`."""
    inside = np.clip(-distance / radius, 0, 1)
    height: Field = top * np.sqrt(1 - (1 - inside) ** 2)
    return height


def texture(resolution: int, cells: tuple[int, int], seed: int) -> Field:
    """Return smooth random values of about -1 to 1 with `cells` support points across and down."""
    coarse = np.random.default_rng(seed).uniform(-1, 1, (cells[1], cells[0])).astype(np.float32)
    shape = (resolution, resolution)
    return np.array(PIL.Image.fromarray(coarse).resize(shape, PIL.Image.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class HeightMap:
    """An unlit object, seen from above.

    `albedo` is RGB, `height` float ("F") in canvas units, `mask` 8-bit coverage ("L"). `gloss`, 0 to 1, is
    the strength of its highlight; `metal`, 0 to 1, is the share of its own colour in the highlight.
    """

    albedo: PIL.Image.Image
    height: PIL.Image.Image
    mask: PIL.Image.Image
    gloss: float
    metal: float


@dataclass(slots=True)
class Canvas:
    """Builder of one object, layer by layer. `x` and `y` are the coordinates of its points."""

    resolution: int
    x: Field = field(init=False)
    y: Field = field(init=False)
    _albedo: npt.NDArray[np.float32] = field(init=False)
    _height: Field = field(init=False)
    _mask: Field = field(init=False)

    def __post_init__(self) -> None:
        axis = np.linspace(-EXTENT, EXTENT, self.resolution, dtype=np.float32)
        self.x, self.y = np.meshgrid(axis, axis)
        self._albedo = np.full((self.resolution, self.resolution, 3), 128, np.float32)
        self._height = np.zeros_like(self.x)
        self._mask = np.zeros_like(self.x)

    def add_layer(self, distance: Field, colour: Colour, height: Field | float) -> None:
        """Cover the shape with a colour at a height. The first layer also colours the surroundings."""
        cover = self._coverage(distance)
        if not self._mask.any():
            self._albedo[:] = colour  # so that an interpolated edge never mixes with grey
        self._albedo += (np.asarray(colour, np.float32) - self._albedo) * cover[..., None]
        self._height += (np.asarray(height, np.float32) - self._height) * cover
        self._mask = np.maximum(self._mask, cover)

    def tint(self, distance: Field, colour: Colour, strength: Field | float = 1.0) -> None:
        """Colour the shape without a change of the object's outline and height."""
        cover = self._coverage(distance) * np.asarray(strength, np.float32)
        self._albedo += (np.asarray(colour, np.float32) - self._albedo) * cover[..., None]

    def carve(self, distance: Field, depth: Field | float) -> None:
        """Lower the shape by `depth` (raise it, when negative)."""
        self._height -= self._coverage(distance) * np.asarray(depth, np.float32)

    def cut(self, distance: Field) -> None:
        """Cut a hole through the object."""
        self._mask = np.minimum(self._mask, 1 - self._coverage(distance))

    def shade(self, factor: Field) -> None:
        """Multiply the colour by a field, such as grain or dirt."""
        self._albedo *= factor[..., None]

    def build(self, gloss: float, metal: float = 0.0) -> HeightMap:
        """Return the finished height map."""
        return HeightMap(
            PIL.Image.fromarray(np.clip(self._albedo, 0, 255).astype(np.uint8)),
            PIL.Image.fromarray(np.maximum(self._height * self._mask, 0).astype(np.float32)),
            PIL.Image.fromarray((self._mask * 255).astype(np.uint8)),
            gloss,
            metal,
        )

    def _coverage(self, distance: Field) -> Field:
        """Return 1 inside and 0 outside, with an edge one point wide."""
        cover: Field = np.clip(0.5 - distance * (self.resolution / (2 * EXTENT)), 0, 1)
        return cover

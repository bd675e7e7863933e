"""Renderer of the simulated table: random light and pose, background textures and sensor noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

from edge_daemon.camera.simulator import objects
from edge_daemon.camera.simulator.lighting import Light, Pose, Sprite, render_sprite
from edge_daemon.camera.simulator.shapes import HeightMap

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


FloatPicture: TypeAlias = npt.NDArray[np.floating[Any]]
"""RGB, height x width x 3, 0 to 255, not yet lit."""

Grey: TypeAlias = npt.NDArray[np.floating[Any]]
"""Brightness, height x width, about 1."""

PixelSize: TypeAlias = tuple[int, int]
"""Width and height in pixels."""


Noise: TypeAlias = npt.NDArray[np.int16]

NOISE_SIGMA = 4.0
"""Standard deviation of the sensor noise, of 255."""

_FLICKER = 0.02
"""Standard deviation of the brightness between frames, as a share."""


def _grain(size: PixelSize, cells: tuple[int, int], random: np.random.Generator) -> Grey:
    """Return smooth random values of about -1 to 1 with `cells` support points across and down."""
    coarse = random.uniform(-1, 1, (max(cells[1], 2), max(cells[0], 2))).astype(np.float32)
    return np.array(PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC))


def _coloured(colour: tuple[int, int, int], brightness: Grey) -> FloatPicture:
    picture: FloatPicture = brightness[..., None] * np.array(colour, np.float32)
    return picture


def _wood(size: PixelSize, random: np.random.Generator) -> FloatPicture:
    width, height = size
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    warp = _grain(size, (5, 7), random) * 0.022 + _grain(size, (2, 3), random) * 0.04
    rings = np.sin((rows + warp) * 150) * 0.5 + np.sin((rows + warp) * 61) * 0.5
    fibres = _grain(size, (width // 40, height), random)
    return _coloured((186, 142, 96), 1 + 0.07 * rings + 0.05 * fibres)


def _felt(size: PixelSize, random: np.random.Generator) -> FloatPicture:
    fibres = _grain(size, (size[0] // 2, size[1] // 2), random) + _grain(size, (40, 30), random) * 0.4
    return _coloured((88, 98, 108), 1 + 0.09 * fibres)


def _mat(size: PixelSize, random: np.random.Generator) -> FloatPicture:
    """Draw a cutting mat with its grid."""
    width, height = size
    fabric = 1 + 0.03 * _grain(size, (width // 3, height // 3), random)
    picture = _coloured((38, 104, 98), fabric)
    line_colour = np.array((190, 214, 206), np.float32)
    step = max(height / 12, 4)
    for fraction, strength in ((1, 0.22), (5, 0.5)):
        for axis, length in ((1, width), (0, height)):
            lines = np.arange(step * 0.4, length, step * fraction).astype(int)
            index = (slice(None), lines) if axis == 1 else (lines, slice(None))
            picture[index] += (line_colour - picture[index]) * strength
    return picture


def _card(size: PixelSize, random: np.random.Generator) -> FloatPicture:
    specks = np.clip(_grain(size, (size[0] // 3, size[1] // 3), random) - 0.75, 0, 1) * 0.5
    paper = _grain(size, (size[0] // 2, size[1] // 2), random) * 0.03
    return _coloured((202, 196, 183), 1 + paper - specks)


def _steel(size: PixelSize, random: np.random.Generator) -> FloatPicture:
    """Draw steel brushed along x."""
    brushed = _grain(size, (6, size[1]), random) * 0.06 + _grain(size, (3, 3), random) * 0.06
    return _coloured((152, 156, 160), 1 + brushed)


def draw_belt(size: PixelSize, random: np.random.Generator) -> FloatPicture:
    """Draw a ribbed rubber belt of the frame's width whose left and right edges match."""
    width, height = size
    across = np.arange(width, dtype=np.float32) * (2 * np.pi * 16 / width)
    ribs = np.clip(np.sin(across) * 3, -1, 1)[None, :]
    speckle = random.normal(0, 0.05, (height, width)).astype(np.float32)
    return _coloured((58, 60, 64), 1 + 0.1 * ribs + speckle)


def draw_rails(size: PixelSize) -> tuple[int, FloatPicture]:
    """Return the height of the belt's side rails in pixels, and a picture of the upper rail."""
    height = max(size[1] // 12, 2)
    profile = np.sin(np.linspace(0.15, np.pi - 0.1, height, dtype=np.float32)) * 0.9 + 0.25
    return height, _coloured((170, 172, 176), np.repeat(profile[:, None], size[0], axis=1))


_TRAYS: Mapping[str, Callable[[PixelSize, np.random.Generator], FloatPicture]] = MappingProxyType(
    {"wood": _wood, "felt": _felt, "mat": _mat, "card": _card, "steel": _steel}
)

TRAYS: tuple[str, ...] = tuple(_TRAYS)
"""Materials of the tray."""


def draw_tray(name: str, size: PixelSize, random: np.random.Generator) -> FloatPicture:
    """Draw a tray of one material. Raises KeyError for an unknown one."""
    return _TRAYS[name](size, random)


@dataclass(frozen=True, slots=True)
class Appearance:
    """Appearance of a segment: all that varies between two segments of the same kind."""

    pose: Pose
    light: Light
    tray: str


def random_appearance(seed: int, variation: int) -> Appearance:
    """Draw pose and light at random, deterministic by `seed` and `variation`.

    Trays alternate, so that consecutive variations cover all of them.
    """
    random = np.random.default_rng((seed, variation))
    pose = Pose(
        angle=random.uniform(0, 2 * np.pi),
        scale=random.uniform(0.35, 0.42),
        tilt=random.uniform(0, 0.18),
        tilt_angle=random.uniform(0, np.pi),
        x=random.uniform(0.46, 0.54),
        y=random.uniform(0.46, 0.54),
    )
    light = Light(
        brightness=random.uniform(0.75, 1.2),
        warmth=random.uniform(-0.8, 0.8),
        azimuth=random.uniform(-np.pi, np.pi),
        elevation=random.uniform(0.7, 1.15),
        falloff=random.uniform(0, 0.6),
    )
    return Appearance(pose, light, TRAYS[variation % len(TRAYS)])


class Renderer:
    """Renders tables of one size; caches height maps and backgrounds. Used from one thread."""

    def __init__(self, size: PixelSize, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._height_maps: dict[str, HeightMap] = {}
        self._tables: dict[str, FloatPicture] = {}
        self._noise = _noise(size, seed)

    def sprite(self, kind: str, appearance: Appearance) -> Sprite:
        """Return the lit sprite of one object."""
        if kind not in self._height_maps:
            self._height_maps[kind] = objects.build_height_map(kind, min(max(self.size[1] * 4 // 5, 64), 768))
        return render_sprite(self._height_maps[kind], appearance.pose, appearance.light, self.size[1])

    def table(self, name: str, light: Light) -> FloatPicture:
        """Return a lit, empty tray of one material."""
        if name not in self._tables:
            random = np.random.default_rng((self._seed, TRAYS.index(name)))
            self._tables[name] = draw_tray(name, self.size, random)
        return self._tables[name] * light.over(*self.size)

    def paste(self, picture: FloatPicture, sprite: Sprite, x: int, y: int) -> None:
        """Composite a sprite in place, its middle at (x, y) in pixels; the picture clips it."""
        height, width = picture.shape[:2]
        left, top = x + sprite.left, y + sprite.top
        right, bottom = left + sprite.keep.shape[1], top + sprite.keep.shape[0]
        columns = slice(max(left, 0), min(right, width))
        rows = slice(max(top, 0), min(bottom, height))
        if columns.start >= columns.stop or rows.start >= rows.stop:
            return
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        patch = picture[rows, columns]
        patch *= sprite.keep[inside]
        patch += sprite.add[inside]

    def expose(self, picture: FloatPicture, seq: int) -> Image:
        """Apply the sensor's flicker, noise and 8-bit quantisation. The result is new and read-only."""
        random = np.random.default_rng((self._seed, seq, 1))
        gain = np.float32(1 + random.normal(0, _FLICKER))
        down, right = random.integers(0, 64, 2)
        height, width = picture.shape[:2]
        noisy = picture * gain
        noisy += self._noise[down : down + height, right : right + width]
        frame = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
        frame.setflags(write=False)
        return frame


def _noise(size: PixelSize, seed: int) -> Noise:
    """Return a noise field larger than the frame; each frame uses another part of it."""
    shape = (size[1] + 64, size[0] + 64, 3)
    drawn = np.random.default_rng((seed, 2)).standard_normal(shape, np.float32) * NOISE_SIGMA
    return drawn.astype(np.int16)

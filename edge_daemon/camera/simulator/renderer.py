"""The drawn table: which light, pose and background a variation has, and the picture of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

from edge_daemon.camera.simulator import objects
from edge_daemon.camera.simulator import renderer as backgrounds
from edge_daemon.camera.simulator.lighting import Light, Pose, Sprite, light_up
from edge_daemon.camera.simulator.shapes import HeightMap

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


Picture: TypeAlias = npt.NDArray[np.floating[Any]]
"""RGB, height x width x 3, 0 to 255, not yet lit."""

Grey: TypeAlias = npt.NDArray[np.floating[Any]]
"""Brightness, height x width, about 1."""

Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""


def _grain(size: Size, cells: tuple[int, int], random: np.random.Generator) -> Grey:
    """Smooth random values of about -1 to 1, `cells` of them across and down."""
    coarse = random.uniform(-1, 1, (max(cells[1], 2), max(cells[0], 2))).astype(np.float32)
    return np.array(PIL.Image.fromarray(coarse).resize(size, PIL.Image.Resampling.BICUBIC))


def _coloured(colour: tuple[int, int, int], brightness: Grey) -> Picture:
    picture: Picture = brightness[..., None] * np.array(colour, np.float32)
    return picture


def _wood(size: Size, random: np.random.Generator) -> Picture:
    width, height = size
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    warp = _grain(size, (5, 7), random) * 0.022 + _grain(size, (2, 3), random) * 0.04
    rings = np.sin((rows + warp) * 150) * 0.5 + np.sin((rows + warp) * 61) * 0.5
    fibres = _grain(size, (width // 40, height), random)
    return _coloured((186, 142, 96), 1 + 0.07 * rings + 0.05 * fibres)


def _felt(size: Size, random: np.random.Generator) -> Picture:
    fibres = _grain(size, (size[0] // 2, size[1] // 2), random) + _grain(size, (40, 30), random) * 0.4
    return _coloured((88, 98, 108), 1 + 0.09 * fibres)


def _mat(size: Size, random: np.random.Generator) -> Picture:
    """A cutting mat with its grid."""
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


def _card(size: Size, random: np.random.Generator) -> Picture:
    specks = np.clip(_grain(size, (size[0] // 3, size[1] // 3), random) - 0.75, 0, 1) * 0.5
    paper = _grain(size, (size[0] // 2, size[1] // 2), random) * 0.03
    return _coloured((202, 196, 183), 1 + paper - specks)


def _steel(size: Size, random: np.random.Generator) -> Picture:
    """Brushed along x."""
    brushed = _grain(size, (6, size[1]), random) * 0.06 + _grain(size, (3, 3), random) * 0.06
    return _coloured((152, 156, 160), 1 + brushed)


def belt(size: Size, random: np.random.Generator) -> Picture:
    """A ribbed rubber belt, as wide as the frame and seamless where its ends meet."""
    width, height = size
    across = np.arange(width, dtype=np.float32) * (2 * np.pi * 16 / width)
    ribs = np.clip(np.sin(across) * 3, -1, 1)[None, :]
    speckle = random.normal(0, 0.05, (height, width)).astype(np.float32)
    return _coloured((58, 60, 64), 1 + 0.1 * ribs + speckle)


def rails(size: Size) -> tuple[int, Picture]:
    """Height in pixels of the belt's side rails, and the picture of the upper one."""
    height = max(size[1] // 12, 2)
    profile = np.sin(np.linspace(0.15, np.pi - 0.1, height, dtype=np.float32)) * 0.9 + 0.25
    return height, _coloured((170, 172, 176), np.repeat(profile[:, None], size[0], axis=1))


_TRAYS: Mapping[str, Callable[[Size, np.random.Generator], Picture]] = MappingProxyType(
    {"wood": _wood, "felt": _felt, "mat": _mat, "card": _card, "steel": _steel}
)

TRAYS: tuple[str, ...] = tuple(_TRAYS)
"""The materials a tray can have."""


def tray(name: str, size: Size, random: np.random.Generator) -> Picture:
    """Draw one material. Raises KeyError for an unknown one."""
    return _TRAYS[name](size, random)


Noise: TypeAlias = npt.NDArray[np.int16]

NOISE_SIGMA = 4.0
"""Standard deviation of the sensor's noise, in steps of 255."""

_FLICKER = 0.02
"""Standard deviation of the brightness from frame to frame."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that varies between two showings of the same kind."""

    pose: Pose
    light: Light
    tray: str


def setting(seed: int, variation: int) -> Setting:
    """Draw pose and light at random; the same numbers give the same setting.

    Backgrounds take turns, so that as many variations in a row as there are trays meet each of them.
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
    return Setting(pose, light, backgrounds.TRAYS[variation % len(backgrounds.TRAYS)])


class Renderer:
    """Paints tables of one size; keeps what is dear to draw. Used from one thread."""

    def __init__(self, size: Size, seed: int) -> None:
        self.size = size
        self._seed = seed
        self._reliefs: dict[str, HeightMap] = {}
        self._tables: dict[str, Picture] = {}
        self._noise = _noise(size, seed)

    def sprite(self, kind: str, chosen: Setting) -> Sprite:
        """Light one object for this table."""
        if kind not in self._reliefs:
            self._reliefs[kind] = objects.carve(kind, min(max(self.size[1] * 4 // 5, 64), 768))
        return light_up(self._reliefs[kind], chosen.pose, chosen.light, self.size[1])

    def table(self, name: str, light: Light) -> Picture:
        """Light an empty tray of one material."""
        if name not in self._tables:
            random = np.random.default_rng((self._seed, backgrounds.TRAYS.index(name)))
            self._tables[name] = backgrounds.tray(name, self.size, random)
        return self._tables[name] * light.over(*self.size)

    def lay(self, picture: Picture, sprite: Sprite, x: int, y: int) -> None:
        """Lay a sprite on a picture, its middle at (x, y) in pixels; it may hang over the edges."""
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

    def expose(self, picture: Picture, seq: int) -> Image:
        """Take the sensor's picture: flicker, noise, 8 bits. The result is new and read-only."""
        random = np.random.default_rng((self._seed, seq, 1))
        gain = np.float32(1 + random.normal(0, _FLICKER))
        down, right = random.integers(0, 64, 2)
        height, width = picture.shape[:2]
        noisy = picture * gain
        noisy += self._noise[down : down + height, right : right + width]
        frame = np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)
        frame.setflags(write=False)
        return frame


def _noise(size: Size, seed: int) -> Noise:
    """Draw a field of noise larger than the frame; each frame takes another part of it."""
    shape = (size[1] + 64, size[0] + 64, 3)
    drawn = np.random.default_rng((seed, 2)).standard_normal(shape, np.float32) * NOISE_SIGMA
    return drawn.astype(np.int16)

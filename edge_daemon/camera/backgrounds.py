"""What the drawn objects lie on: trays of several materials, and the belt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import PIL.Image

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

"""Mask of the object in front of a known scene (background subtraction).

A mask is trusted only where the difference to the scene is one compact object. Where the camera is covered,
the light is off, the camera was moved or the object fills the region, the whole region is classified.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.imaging.cell_bits import BitGrid, Bits, CellMask, bit_grid
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.scene_reference import SceneMatch, SceneReference

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Levels: TypeAlias = npt.NDArray[np.uint8]
"""One level of 255 per cell: shape (rows, columns)."""

ViewState: TypeAlias = Literal["object", "empty", "untrusted"]
"""object: the mask shows an object; empty: the scene without an object; untrusted: neither is certain."""

# Shares of the region's cells.
_MIN_AREA = 0.004
"""Smallest object."""

_MAX_AREA = 0.7
"""Largest difference to the scene that can be an object in front of it."""

_FAINT_AREA = 0.009
"""Number of faintly differing cells that may be an object of the scene's colour."""

# Light of the picture relative to the scene.
_MIN_LIGHT = 0.12
_MAX_LIGHT = 6.0

_MAX_TINT = 3.0
"""Largest ratio between the gains of two channels."""

# Shape of the object.
_MIN_DIFFERING = 0.35
"""Least share of the object's cells that differ from the scene: with fewer, only its outline does."""

_WIDE = 0.85
"""Share of the region's side from which on an object must fill its box."""

_MIN_FILL = 0.22
"""Least share of its box that a wide object fills."""

_MUCH_SHADOW = 0.3
"""Share of the differing cells that are shadow above which the object must be compact."""

_MIN_COMPACT = 0.45
"""Least share of the cells of its rows and columns that such an object covers."""

_MAX_PARTS = 4
"""Largest number of parts of an object."""

_MIN_PART = 0.15
"""Least size of a further part, as a share of the largest one."""

# Cells.
_FAINT = 0.6
"""Contrast above which a cell differs faintly; above 1 it differs."""

_SHADOW_FLOOR = 0.4
"""Least light of a shadow, relative to the scene."""

_SHADOW_TINT = 0.12
"""Largest difference between the channels' light in a shadow."""

_SOFT_EDGE = 0.08
"""Largest change of the light from one cell to the next at a shadow's edge."""

_LEVELS = bytes(min(cells, 9) * 255 // 9 for cells in range(256))
"""Level of a cell by how many of its block of nine are covered."""


class ObjectView(Struct, frozen=True, eq=False):
    """The content of a picture, compared with a known scene.

    `mask` (rows x columns) is 0 for the scene and 255 for the object, soft at its edge; its cells cover the
    picture. `box` is the object's box as fractions of the picture. Both are None unless `state` is `object`.
    """

    state: ViewState
    mask: Levels | None = None
    box: Box | None = None


EMPTY = ObjectView("empty")
UNTRUSTED = ObjectView("untrusted")


def find_object(image: Image, reference: SceneReference) -> ObjectView:
    """Return the object of a picture in front of the scene of `reference`.

    The picture is RGB uint8 HWC. One of another size than the reference is `untrusted`.
    """
    if not reference.fits(image):
        return UNTRUSTED
    match = reference.match(image)
    if not _MIN_LIGHT <= max(match.gain) <= _MAX_LIGHT or max(match.gain) > _MAX_TINT * min(match.gain):
        return UNTRUSTED
    grid = bit_grid(*match.contrast.shape)
    total = match.contrast.size
    differing = match.contrast > 1
    changed = grid.pack(differing)
    kept = changed & ~_soft_shadows(grid, match, differing) if changed else 0
    area = kept.bit_count()
    if area > _MAX_AREA * total:
        return UNTRUSTED
    solid = _largest_components(grid, grid.close_and_fill(grid.median_filter(kept)))
    size = solid.bit_count()
    if size < max(4, _MIN_AREA * total):
        return UNTRUSTED if _has_faint_object(grid, match) else EMPTY
    outline_only = (solid & changed).bit_count() < _MIN_DIFFERING * size
    box = _box(grid, solid, match.contrast.shape)
    if outline_only or _is_scattered(box, size / total) or size < area / 3:
        return UNTRUSTED
    used_rows, used_columns = grid.count_used(solid)
    shadow = 1 - area / changed.bit_count()
    if shadow > _MUCH_SHADOW and size < _MIN_COMPACT * used_rows * used_columns:
        return UNTRUSTED  # fragments of a grey object, most of which passed for a shadow
    return ObjectView("object", _soften(grid.unpack(solid)), box)


def _soft_shadows(grid: BitGrid, match: SceneMatch, differing: CellMask) -> Bits:
    """Return the differing cells that are a darker copy of the scene with a soft edge."""
    ratio = np.maximum(match.expected, 1)
    np.divide(match.cells, ratio, out=ratio)
    darkest, brightest = np.minimum.reduce(ratio), np.maximum.reduce(ratio)
    shadow = brightest < 1
    shadow &= differing
    shadow &= darkest > _SHADOW_FLOOR
    brightest -= darkest
    shadow &= brightest < _SHADOW_TINT
    found = grid.pack(shadow)
    return found and found & ~grid.edges(ratio[1], 2 * _SOFT_EDGE)


def _has_faint_object(grid: BitGrid, match: SceneMatch) -> bool:
    """Return whether cells that differ a little lie together, as those of an object of the scene's colour."""
    faint = grid.median_filter(grid.median_filter(grid.pack(match.contrast > _FAINT)))
    return faint.bit_count() > _FAINT_AREA * match.contrast.size


def _largest_components(grid: BitGrid, cells: Bits) -> Bits:
    """Return the connected part with the most cells, and others of a similar size."""
    parts = grid.connected_components(cells)
    if len(parts) < 2:
        return cells
    parts = sorted(parts, key=int.bit_count, reverse=True)[:_MAX_PARTS]
    least = _MIN_PART * parts[0].bit_count()
    return reduce(or_, (part for part in parts if part.bit_count() >= least))


def _is_scattered(box: Box, share: float) -> bool:
    """Return whether the cells span the picture without filling their box, as after a moved camera."""
    if box.width < _WIDE and box.height < _WIDE:
        return False
    return share < _MIN_FILL * box.width * box.height


def _box(grid: BitGrid, cells: Bits, shape: tuple[int, ...]) -> Box:
    """Return the bounding box as fractions."""
    left, top, right, bottom = grid.bounding_box(cells)
    height, width = shape
    return Box(left / width, top / height, (right - left) / width, (bottom - top) / height)


def _soften(cells: npt.NDArray[np.uint8]) -> Levels:
    """Return the mask with a soft edge of a cell to either side: the mean of each cell and its neighbours."""
    rows, columns = cells.shape
    padded = np.empty((rows + 2, columns + 2), np.uint8)
    padded[1:-1, 1:-1] = cells
    padded[0], padded[-1] = padded[1], padded[-2]
    padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
    lines = padded[:-2] + padded[1:-1]
    lines += padded[2:]
    total = lines[:, :-2] + lines[:, 1:-1]
    total += lines[:, 2:]
    return np.frombuffer(total.tobytes().translate(_LEVELS), np.uint8).reshape(rows, columns)

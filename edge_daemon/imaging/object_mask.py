"""Mask of the object before a known scene, and the picture of the object alone.

A mask is trusted only where the difference to the scene is one compact object. Where the camera is covered,
the light is off, the camera was moved or the object fills the region, the whole region is classified.
"""

from __future__ import annotations

import math
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.imaging.cell_bits import BitGrid, Bits, Flags, bit_grid
from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.scene_reference import Cells, SceneMatch, SceneReference

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from edge_daemon.domain.types import Image

ViewState: TypeAlias = Literal["object", "empty", "untrusted"]
"""object: the mask shows an object; empty: the scene without an object; untrusted: neither is certain."""

PICTURE_PX = 224
"""Default side of the picture of an object: the input size of most image models."""

MARGIN = 0.15
"""Margin around the object's box, as a share of the box's longer side."""

NEUTRAL = 128
"""Level of grey around the object."""

_MIN_AREA = 0.004
_MAX_AREA = 0.7
_MIN_LIGHT = 0.12
_MAX_LIGHT = 6.0
_MAX_TINT = 3.0
_MIN_FILL = 0.22
_MIN_DIFFERING = 0.35
_MUCH_SHADOW = 0.3
_MIN_COMPACT = 0.45
_WIDE = 0.85
_MAX_PARTS = 4
_MIN_PART = 0.15
_FAINT = 0.6
_FAINT_AREA = 0.009
_SHADOW_FLOOR = 0.4
_SHADOW_TINT = 0.12
_SOFT_EDGE = 0.08
_ENLARGED = 0.75


class ObjectView(Struct, frozen=True, eq=False):
    """The content of a picture before a known scene.

    `mask` (rows x columns) is 0 for the scene and 1 for the object, soft at its edge; its cells cover the
    picture. `box` is the object's box as fractions of the picture. Both are None unless `state` is `object`.
    """

    state: ViewState
    mask: Cells | None = None
    box: Box | None = None


EMPTY = ObjectView("empty")
UNTRUSTED = ObjectView("untrusted")


def find_object(image: Image, reference: SceneReference) -> ObjectView:
    """Return the object of a picture before the scene of `reference`."""
    if not reference.fits(image):
        return UNTRUSTED
    match = reference.match(image)
    if not _MIN_LIGHT <= max(match.gain) <= _MAX_LIGHT or max(match.gain) > _MAX_TINT * min(match.gain):
        return UNTRUSTED
    grid = bit_grid(*match.contrast.shape)
    total = match.contrast.size
    differing = match.contrast > 1
    changed = grid.pack(differing)
    kept = changed & ~grid.pack(_soft_shadows(match, differing)) if changed else 0
    area = kept.bit_count()
    if area > _MAX_AREA * total:
        return UNTRUSTED
    solid = _largest_part(grid, grid.closed(grid.majority(kept)))
    size = solid.bit_count()
    if size < max(4, _MIN_AREA * total):
        return UNTRUSTED if _has_faint_object(grid, match) else EMPTY
    outline_only = (solid & changed).bit_count() < _MIN_DIFFERING * size
    box = _box(grid, solid, match.contrast.shape)
    if outline_only or _is_scattered(box, size / total) or size < area / 3:
        return UNTRUSTED
    used_rows, used_columns = grid.used(solid)
    shadow = 1 - area / changed.bit_count()
    if shadow > _MUCH_SHADOW and size < _MIN_COMPACT * used_rows * used_columns:
        return UNTRUSTED  # fragments of a grey object, most of which passed for a shadow
    return ObjectView("object", _soften(grid.unpack(solid)), box)


def object_side(image: Image, view: ObjectView) -> int:
    """Return the side in pixels of the square that `object_picture` cuts from a picture; 0 without object."""
    return 0 if view.box is None else _square(view.box, image.shape[1], image.shape[0])[2]


def object_picture(image: Image, view: ObjectView, size: int = PICTURE_PX) -> Image:
    """Return the object of a view alone, `size` pixels square: its box with a margin, the rest grey."""
    from PIL import Image as Pillow

    if view.mask is None or view.box is None:
        raise ValueError("a picture of an object needs a view with an object")
    height, width = image.shape[:2]
    rows, columns = view.mask.shape
    left, top, side = _square(view.box, width, height)
    scale = size / side
    # What the mask does not cover need not be scaled.
    x0, x1 = _covered(view.mask, 0, width, left, side)
    y0, y1 = _covered(view.mask, 1, height, top, side)
    target = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    part = _scaled(image[y0:y1, x0:x1], *target)
    mask = Pillow.fromarray((view.mask * 255).astype(np.uint8))
    cell_x, cell_y = columns / width, rows / height
    edges = (x0 * cell_x, y0 * cell_y, x1 * cell_x, y1 * cell_y)
    soft = mask.resize(target, Pillow.Resampling.BILINEAR, box=edges)
    ground = Pillow.new("RGB", (size, size), (NEUTRAL, NEUTRAL, NEUTRAL))
    ground.paste(part, (round((x0 - left) * scale), round((y0 - top) * scale)), soft)
    return np.asarray(ground)


def _covered(mask: Cells, axis: int, length: int, first: int, side: int) -> tuple[int, int]:
    """Return the pixels along x (axis 0) or y (1) that the mask covers, within the square.

    The mask is interpolated: it ends half a cell outside of its cells.
    """
    used, pixels = np.flatnonzero(mask.any(axis=axis)), length / mask.shape[1 - axis]
    if not used.size:
        return max(0, first), min(length, first + side)
    begin, end = math.floor((used[0] - 0.5) * pixels), math.ceil((used[-1] + 1.5) * pixels)
    return max(0, first, begin), min(length, first + side, end)


def _scaled(part: Image, width: int, height: int) -> PillowImage:
    """Return a part of a picture at another size.

    Each pixel is the mean of four samples: the mean of all pixels takes twice the time, and its embedding is
    no better. A part that is enlarged by a third or more is interpolated.
    """
    from PIL import Image as Pillow

    if len(part) > 2 * height:
        part = part[((np.arange(2 * height) + 0.5) * (len(part) / (2 * height))).astype(np.intp)]
    picture = Pillow.fromarray(np.ascontiguousarray(part))
    if picture.height < _ENLARGED * height:
        return picture.resize((width, height), Pillow.Resampling.BILINEAR)
    return picture.resize((2 * width, 2 * height), Pillow.Resampling.NEAREST).reduce(2)


def _square(box: Box, width: int, height: int) -> tuple[int, int, int]:
    """Return left, top and side in pixels of the square around a box; it may exceed the picture."""
    longest = max(box.width * width, box.height * height)
    side = max(8, round(longest * (1 + 2 * MARGIN)))
    centre_x, centre_y = (box.x + box.width / 2) * width, (box.y + box.height / 2) * height
    return round(centre_x - side / 2), round(centre_y - side / 2), side


def _soft_shadows(match: SceneMatch, differing: Flags) -> Flags:
    """Return the differing cells that are a darker copy of the scene with a soft edge."""
    ratio = match.cells / np.maximum(match.expected, 1)
    darkest, brightest = ratio.min(axis=0), ratio.max(axis=0)
    shadow: Flags = (darkest > _SHADOW_FLOOR) & (brightest < 1) & (brightest - darkest < _SHADOW_TINT)
    shadow &= differing
    if not shadow.any():
        return shadow
    light = ratio[1]
    edge = np.zeros(light.shape, np.float32)
    edge[1:-1] = np.abs(light[2:] - light[:-2])
    edge[:, 1:-1] = np.maximum(edge[:, 1:-1], np.abs(light[:, 2:] - light[:, :-2]))
    shadow &= edge < 2 * _SOFT_EDGE
    return shadow


def _has_faint_object(grid: BitGrid, match: SceneMatch) -> bool:
    """Return whether cells that differ a little lie together, as those of an object of the scene's colour."""
    faint = grid.majority(grid.majority(grid.pack(match.contrast > _FAINT)))
    return faint.bit_count() > _FAINT_AREA * match.contrast.size


def _largest_part(grid: BitGrid, cells: Bits) -> Bits:
    """Return the connected part with the most cells, and others of a similar size."""
    parts = grid.parts(cells)
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
    left, top, right, bottom = grid.extent(cells)
    height, width = shape
    return Box(left / width, top / height, (right - left) / width, (bottom - top) / height)


def _soften(cells: npt.NDArray[np.uint8]) -> Cells:
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
    mask: Cells = total * np.float32(1 / 9)
    return mask

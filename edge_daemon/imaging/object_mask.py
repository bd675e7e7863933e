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
from edge_daemon.imaging.scene_reference import SceneMatch, SceneReference

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from edge_daemon.domain.types import Image

Levels: TypeAlias = npt.NDArray[np.uint8]
"""One level of 255 per cell: shape (rows, columns)."""

ViewState: TypeAlias = Literal["object", "empty", "untrusted"]
"""object: the mask shows an object; empty: the scene without an object; untrusted: neither is certain."""

PICTURE_PX = 224
"""Default side of the picture of an object: the input size of most image models."""

MARGIN = 0.15
"""Margin around the object's box, as a share of the box's longer side."""

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

NEUTRAL: Colour = (128, 128, 128)
"""The ground of a picture whose mask covers nothing."""

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
_LEVELS = bytes(min(cells, 9) * 255 // 9 for cells in range(256))
"""Level of a cell by how many of its block of nine are covered."""


class ObjectView(Struct, frozen=True, eq=False):
    """The content of a picture before a known scene.

    `mask` (rows x columns) is 0 for the scene and 255 for the object, soft at its edge; its cells cover the
    picture. `box` is the object's box as fractions of the picture. Both are None unless `state` is `object`.
    """

    state: ViewState
    mask: Levels | None = None
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
    kept = changed & ~_soft_shadows(grid, match, differing) if changed else 0
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


def object_picture(
    image: Image, view: ObjectView, size: int = PICTURE_PX, ground: Colour | None = None
) -> Image:
    """Return the object of a view alone, `size` pixels square: its box with a margin, the rest in one colour.

    That is the object's mean colour unless a `ground` is given: with grey, an object in another light stands
    out from its ground in another way.
    """
    from PIL import Image as Pillow

    if view.mask is None or view.box is None:
        raise ValueError("a picture of an object needs a view with an object")
    height, width = image.shape[:2]
    rows, columns = view.mask.shape
    left, top, side = _square(view.box, width, height)
    scale = size / side
    # What the mask does not cover need not be scaled.
    used_rows, used_columns = _used(view.mask)
    x0, x1 = _covered(used_columns, width / columns, left, min(width, left + side))
    y0, y1 = _covered(used_rows, height / rows, top, min(height, top + side))
    target = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    part = _scaled(image[y0:y1, x0:x1], *target)
    mask = Pillow.frombuffer("L", (columns, rows), view.mask, "raw", "L", 0, 1)
    cell_x, cell_y = columns / width, rows / height
    edges = (x0 * cell_x, y0 * cell_y, x1 * cell_x, y1 * cell_y)
    soft = mask.resize(target, Pillow.Resampling.BILINEAR, box=edges)
    colour = _mean_colour(image, view.mask, used_rows, used_columns) if ground is None else ground
    framed = Pillow.new("RGB", (size, size), colour)
    framed.paste(part, (round((x0 - left) * scale), round((y0 - top) * scale)), soft)
    return np.frombuffer(bytearray(framed.tobytes()), np.uint8).reshape(size, size, 3)


def _mean_colour(image: Image, mask: Levels, rows: tuple[int, int], columns: tuple[int, int]) -> Colour:
    """Return the mean colour of what a mask covers in these rows and columns; grey if it covers nothing.

    One pixel of each cell is taken.
    """
    weights = mask[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1].ravel().astype(np.float32)
    total = float(weights.sum())
    if total == 0:
        return NEUTRAL
    height, width = image.shape[:2]
    y = (2 * np.arange(rows[0], rows[1] + 1) + 1) * height // (2 * mask.shape[0])
    x = (2 * np.arange(columns[0], columns[1] + 1) + 1) * width // (2 * mask.shape[1])
    pixels = image[y[:, None], x].reshape(-1, 3).astype(np.float32)
    red, green, blue = (weights @ pixels / total + 0.5).astype(int).tolist()
    return red, green, blue


def _used(mask: Levels) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the first and last row and the first and last column that a mask uses; all if it uses none."""
    rows, columns = mask.shape
    whole = mask.tobytes()
    used = whole.lstrip(b"\0")
    if not used:
        return (0, rows - 1), (0, columns - 1)
    first, last = (len(whole) - len(used)) // columns, (len(whole.rstrip(b"\0")) - 1) // columns
    by_column = mask.T.tobytes()
    left = (len(whole) - len(by_column.lstrip(b"\0"))) // rows
    return (first, last), (left, (len(by_column.rstrip(b"\0")) - 1) // rows)


def _covered(used: tuple[int, int], pixels: float, least: int, most: int) -> tuple[int, int]:
    """Return the pixels along one axis that a mask covers, within the square; a cell has some `pixels`.

    The mask is interpolated: it ends half a cell outside of its cells.
    """
    begin, end = math.floor((used[0] - 0.5) * pixels), math.ceil((used[1] + 1.5) * pixels)
    return max(0, least, begin), min(most, end)


def _scaled(part: Image, width: int, height: int) -> PillowImage:
    """Return a part of a picture at another size.

    Each pixel is the mean of four samples: the mean of all pixels takes twice the time, and its embedding is
    no better. A part that is enlarged by a third or more is interpolated.
    """
    from PIL import Image as Pillow

    enlarged = len(part) < _ENLARGED * height
    pixels = np.ascontiguousarray(part) if enlarged else _halved_lines(part, height)
    picture = Pillow.frombuffer("RGB", (pixels.shape[1], len(pixels)), pixels, "raw", "RGB", 0, 1)
    if enlarged:
        return picture.resize((width, height), Pillow.Resampling.BILINEAR)
    return picture.resize((2 * width, height), Pillow.Resampling.NEAREST).reduce((2, 1))


def _halved_lines(part: Image, height: int) -> Image:
    """Return `height` lines, each the mean of two lines of a part, rounded down."""
    lines = ((np.arange(2 * height) + 0.5) * (len(part) / (2 * height))).astype(np.intp)
    upper, lower = part[lines[::2]], part[lines[1::2]]
    mean = upper ^ lower  # the mean is (upper & lower) + (upper ^ lower) // 2: no sum exceeds a byte
    mean //= 2
    upper &= lower
    mean += upper
    return mean


def _square(box: Box, width: int, height: int) -> tuple[int, int, int]:
    """Return left, top and side in pixels of the square around a box; it may exceed the picture."""
    longest = max(box.width * width, box.height * height)
    side = max(8, round(longest * (1 + 2 * MARGIN)))
    centre_x, centre_y = (box.x + box.width / 2) * width, (box.y + box.height / 2) * height
    return round(centre_x - side / 2), round(centre_y - side / 2), side


def _soft_shadows(grid: BitGrid, match: SceneMatch, differing: Flags) -> Bits:
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

"""Mask of the object before a known scene, and the picture of the object alone.

A mask is trusted only where the difference to the scene is one compact object. Where the camera is covered,
the light is off, the camera was moved or the object fills the region, the whole region is classified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.imaging.regions import Box
from edge_daemon.imaging.scene_reference import Cells, SceneMatch, SceneReference

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Flags: TypeAlias = npt.NDArray[np.bool_]
"""One flag per cell: shape (rows, columns)."""

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
_COARSE = 4
_MAX_PARTS = 4
_MIN_PART = 0.15
_FAINT = 0.6
_FAINT_AREA = 0.009
_SHADOW_FLOOR = 0.4
_SHADOW_TINT = 0.12
_SOFT_EDGE = 0.08


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
    differing = _without_soft_shadows(match)
    area = int(np.count_nonzero(differing))
    total = differing.size
    if area > _MAX_AREA * total:
        return UNTRUSTED
    solid = _largest_part(_close(_majority(differing)))
    size = int(np.count_nonzero(solid))
    if size < max(4, _MIN_AREA * total):
        return UNTRUSTED if _has_faint_object(match) else EMPTY
    outline_only = int(np.count_nonzero(match.contrast[solid] > 1)) < _MIN_DIFFERING * size
    if outline_only or _is_scattered(solid, size) or size < area / 3:
        return UNTRUSTED
    shadow = 1 - area / max(1, int(np.count_nonzero(match.contrast > 1)))
    if shadow > _MUCH_SHADOW and size < _MIN_COMPACT * _box_cells(solid):
        return UNTRUSTED  # fragments of a grey object, most of which passed for a shadow
    return ObjectView("object", _soften(solid), _box(solid))


def object_picture(image: Image, view: ObjectView, size: int = PICTURE_PX) -> Image:
    """Return the object of a view alone, `size` pixels square: its box with a margin, the rest grey."""
    from PIL import Image as Pillow

    if view.mask is None or view.box is None:
        raise ValueError("a picture of an object needs a view with an object")
    height, width = image.shape[:2]
    left, top, side = _square(view.box, width, height)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    scale = size / side
    target = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    part = Pillow.fromarray(np.ascontiguousarray(image[y0:y1, x0:x1]))
    if (factor := round(1 / scale)) > 1:
        part = part.reduce(factor)
    part = part.resize(target, Pillow.Resampling.BILINEAR)
    mask = Pillow.fromarray((view.mask * 255).astype(np.uint8))
    cell_x, cell_y = mask.width / width, mask.height / height
    edges = (x0 * cell_x, y0 * cell_y, x1 * cell_x, y1 * cell_y)
    soft = mask.resize(target, Pillow.Resampling.BILINEAR, box=edges)
    ground = Pillow.new("RGB", (size, size), (NEUTRAL, NEUTRAL, NEUTRAL))
    ground.paste(part, (round((x0 - left) * scale), round((y0 - top) * scale)), soft)
    return np.asarray(ground)


def _square(box: Box, width: int, height: int) -> tuple[int, int, int]:
    """Return left, top and side in pixels of the square around a box; it may exceed the picture."""
    longest = max(box.width * width, box.height * height)
    side = max(8, round(longest * (1 + 2 * MARGIN)))
    centre_x, centre_y = (box.x + box.width / 2) * width, (box.y + box.height / 2) * height
    return round(centre_x - side / 2), round(centre_y - side / 2), side


def _without_soft_shadows(match: SceneMatch) -> Flags:
    """Return the cells that differ, without those that are a darker copy of the scene with a soft edge."""
    differing: Flags = match.contrast > 1
    ratio = match.cells / np.maximum(match.expected, 1)
    darkest = np.minimum(np.minimum(ratio[0], ratio[1]), ratio[2])
    brightest = np.maximum(np.maximum(ratio[0], ratio[1]), ratio[2])
    shadow = (darkest > _SHADOW_FLOOR) & (brightest < 1) & (brightest - darkest < _SHADOW_TINT)
    shadow &= differing
    if not shadow.any():
        return differing
    light = ratio[1]
    edge = np.zeros(light.shape, np.float32)
    edge[1:-1] = np.abs(light[2:] - light[:-2])
    edge[:, 1:-1] = np.maximum(edge[:, 1:-1], np.abs(light[:, 2:] - light[:, :-2]))
    kept: Flags = differing & ~(shadow & (edge < 2 * _SOFT_EDGE))
    return kept


def _has_faint_object(match: SceneMatch) -> bool:
    """Return whether cells that differ a little lie together, as those of an object of the scene's colour."""
    faint = _majority(_majority(match.contrast > _FAINT))
    return int(np.count_nonzero(faint)) > _FAINT_AREA * faint.size


def _majority(flags: Flags) -> Flags:
    """Return a 3 x 3 median filter of flags."""
    majority: Flags = _count_around(flags) >= 5
    return majority


def _close(flags: Flags) -> Flags:
    """Return flags with gaps of two cells closed and enclosed holes filled."""
    grown = _count_around(flags) > 0
    closed = _count_around(grown) >= 9
    closed |= flags
    return _between(closed) & _between(closed.T).T


def _between(flags: Flags) -> Flags:
    """Return the cells from the first to the last set flag of each row."""
    columns = np.arange(flags.shape[1])
    first = flags.argmax(axis=1)[:, None]
    last = flags.shape[1] - 1 - flags[:, ::-1].argmax(axis=1)[:, None]
    between: Flags = (columns >= first) & (columns <= last)
    between &= flags.any(axis=1, keepdims=True)
    return between


def _count_around(flags: Flags) -> npt.NDArray[np.uint8]:
    """Return the number of set flags among each cell and its eight neighbours; edge cells are repeated."""
    rows, columns = flags.shape
    padded = np.empty((rows + 2, columns + 2), np.uint8)
    padded[1:-1, 1:-1] = flags
    padded[0], padded[-1] = padded[1], padded[-2]
    padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
    lines = padded[:-2] + padded[1:-1]
    lines += padded[2:]
    total: npt.NDArray[np.uint8] = lines[:, :-2] + lines[:, 1:-1]
    total += lines[:, 2:]
    return total


def _largest_part(flags: Flags) -> Flags:
    """Return the connected part with the most cells, and others of a similar size near it."""
    coarse = _coarse_counts(flags)
    remaining = coarse > 0
    parts: list[tuple[int, Flags]] = []
    while remaining.any() and len(parts) < _MAX_PARTS:
        part = _grow(remaining, int((coarse * remaining).argmax()))
        parts.append((int(coarse[part].sum()), part))
        remaining = remaining & ~part
    if len(parts) < 2:
        return flags
    largest = max(size for size, _ in parts)
    kept = np.zeros_like(remaining)
    for size, part in parts:
        if size >= _MIN_PART * largest:
            kept |= part
    rows, columns = flags.shape
    spread = kept.repeat(_COARSE, axis=0)[:rows].repeat(_COARSE, axis=1)[:, :columns]
    return flags & spread


def _coarse_counts(flags: Flags) -> npt.NDArray[np.intp]:
    rows, columns = -(-flags.shape[0] // _COARSE), -(-flags.shape[1] // _COARSE)
    padded = np.zeros((rows * _COARSE, columns * _COARSE), np.uint8)
    padded[: flags.shape[0], : flags.shape[1]] = flags
    lines = padded.reshape(rows, _COARSE, columns * _COARSE).sum(axis=1, dtype=np.intp)
    counts: npt.NDArray[np.intp] = lines.reshape(rows, columns, _COARSE).sum(axis=2)
    return counts


def _grow(flags: Flags, seed: int) -> Flags:
    """Return the connected part of flags around a flat index."""
    part = np.zeros_like(flags)
    part.ravel()[seed] = True
    count = 1
    while True:
        part = np.logical_and(_count_around(part) > 0, flags)
        size = int(np.count_nonzero(part))
        if size == count:
            return part
        count = size


def _is_scattered(solid: Flags, size: int) -> bool:
    """Return whether the cells span the picture without filling their box, as after a moved camera."""
    box = _box(solid)
    if box.width < _WIDE and box.height < _WIDE:
        return False
    return size / solid.size < _MIN_FILL * box.width * box.height


def _box(flags: Flags) -> Box:
    """Return the bounding box as fractions."""
    rows, columns = np.flatnonzero(flags.any(axis=1)), np.flatnonzero(flags.any(axis=0))
    height, width = flags.shape
    left, top = int(columns[0]), int(rows[0])
    return Box(
        left / width, top / height, (int(columns[-1]) + 1 - left) / width, (int(rows[-1]) + 1 - top) / height
    )


def _box_cells(flags: Flags) -> int:
    """Return the number of cells in the bounding box."""
    return int(np.count_nonzero(flags.any(axis=1)) * np.count_nonzero(flags.any(axis=0)))


def _soften(flags: Flags) -> Cells:
    """Return the mask with a soft edge of a cell to either side."""
    mask: Cells = _count_around(flags) * np.float32(1 / 9)
    return mask

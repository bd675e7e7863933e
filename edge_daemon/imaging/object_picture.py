"""The picture that an embedder gets of an object in front of a known scene."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from msgspec import Struct

from edge_daemon.imaging.object_mask import Levels, ObjectView

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

    from edge_daemon.domain.types import Image
    from edge_daemon.imaging.regions import Box

PICTURE_PX = 224
"""Default side of the picture of an object: the input size of most image models."""

MARGIN = 0.15
"""Margin around the object's box, as a share of the box's longer side."""

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

NEUTRAL: Colour = (128, 128, 128)
"""The background of a picture whose mask covers nothing."""

_SHARES = 40
"""Cells a side of an `ObjectPart`'s shares."""

_ENLARGED = 0.75
"""Height of a part, relative to the target's, below which it is interpolated."""

_EPSILON = 1e-6
"""Added to a sum of shares that may be zero."""


class ObjectPart(Struct, frozen=True, eq=False):
    """A square picture around an object with its surroundings.

    `pixels` is RGB uint8 HWC. `shares` (rows x columns, 0 to 255) is how much of each cell the object covers.
    """

    pixels: Image
    shares: Levels


def object_part(image: Image, view: ObjectView, size: int = PICTURE_PX) -> ObjectPart:
    """Return the object of a view with its surroundings, `size` pixels square: its box with a margin.

    The part of the square outside of the image has the object's mean colour. Raises ValueError for a view
    without an object.
    """
    from PIL import Image as Pillow

    mask, box = _object(view)
    height, width = image.shape[:2]
    rows, columns = mask.shape
    left, top, side = _square(box, width, height)
    scale = size / side
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    target = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    framed = _scaled(image[y0:y1, x0:x1], *target)
    if target != (size, size):
        part, framed = framed, Pillow.new("RGB", (size, size), _mean_colour(image, mask, *_used(mask)))
        framed.paste(part, (round((x0 - left) * scale), round((y0 - top) * scale)))
    cell_x, cell_y = columns / width, rows / height
    edges = (left * cell_x, top * cell_y, (left + side) * cell_x, (top + side) * cell_y)
    cells = Pillow.frombuffer("L", (columns, rows), mask, "raw", "L", 0, 1)
    shares = cells.transform((_SHARES, _SHARES), Pillow.Transform.EXTENT, edges, Pillow.Resampling.BILINEAR)
    return ObjectPart(
        np.frombuffer(framed.tobytes(), np.uint8).reshape(size, size, 3),
        np.frombuffer(shares.tobytes(), np.uint8).reshape(_SHARES, _SHARES),
    )


def on_mean_colour(part: ObjectPart) -> Image:
    """Return the picture of a part whose `shares` are per pixel, the rest in the object's mean colour."""
    seen = part.shares[..., np.newaxis].astype(np.float32) / np.float32(255)
    mean = (part.pixels * seen).sum(axis=(0, 1)) / max(float(seen.sum()), _EPSILON)
    alone: Image = (part.pixels * seen + mean * (1 - seen)).astype(np.uint8)
    return alone


def _object(view: ObjectView) -> tuple[Levels, Box]:
    """Return mask and box of a view. Raises ValueError if it has no object."""
    if view.mask is None or view.box is None:
        raise ValueError("a picture of an object needs a view with an object")
    return view.mask, view.box


def object_side(image: Image, view: ObjectView) -> int:
    """Return the side in pixels of the square that `object_picture` cuts from a picture; 0 without object."""
    return 0 if view.box is None else _square(view.box, image.shape[1], image.shape[0])[2]


def object_picture(
    image: Image, view: ObjectView, size: int = PICTURE_PX, background: Colour | None = None
) -> Image:
    """Return the object of a view alone, `size` pixels square: its box with a margin, the rest in one colour.

    That colour is the object's mean colour unless a `background` is given. Raises ValueError for a view
    without an object.
    """
    from PIL import Image as Pillow

    mask, box = _object(view)
    height, width = image.shape[:2]
    rows, columns = mask.shape
    left, top, side = _square(box, width, height)
    scale = size / side
    # Only the rows and columns that the mask covers are scaled.
    used_rows, used_columns = _used(mask)
    x0, x1 = _covered(used_columns, width / columns, left, min(width, left + side))
    y0, y1 = _covered(used_rows, height / rows, top, min(height, top + side))
    target = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    part = _scaled(image[y0:y1, x0:x1], *target)
    cells = Pillow.frombuffer("L", (columns, rows), mask, "raw", "L", 0, 1)
    cell_x, cell_y = columns / width, rows / height
    edges = (x0 * cell_x, y0 * cell_y, x1 * cell_x, y1 * cell_y)
    soft = cells.resize(target, Pillow.Resampling.BILINEAR, box=edges)
    colour = _mean_colour(image, mask, used_rows, used_columns) if background is None else background
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

    Each pixel is the mean of two samples, one above the other: with four, or the mean of all pixels, as many
    objects are named, and the picture takes up to four times as long. A part that is enlarged by a third or
    more is interpolated.
    """
    from PIL import Image as Pillow

    enlarged = len(part) < _ENLARGED * height
    pixels = np.ascontiguousarray(part) if enlarged else _halved_lines(part, height)
    picture = Pillow.frombuffer("RGB", (pixels.shape[1], len(pixels)), pixels, "raw", "RGB", 0, 1)
    resampling = Pillow.Resampling.BILINEAR if enlarged else Pillow.Resampling.NEAREST
    return picture.resize((width, height), resampling)


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

"""Copies of a taught object as other places would show it: another background, other light, another mask.

The copies show how far the embedding of an object changes between scenes. The backgrounds are drawn, so no
photo is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import PIL.Image

from edge_daemon.imaging.object_mask import ObjectView
from edge_daemon.imaging.object_picture import ObjectPart, object_picture

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image
    from edge_daemon.imaging.random_draws import Draws

Floats = npt.NDArray[np.float32]

GAIN = (0.6, 1.4)
"""Range of the exposure of a copy, as a factor."""

WHITE_BALANCE = 0.2
"""Largest change of a channel to either side, as a share."""

NOISE = 4.0
"""Standard deviation of the noise in levels of 255."""

_BACKGROUND_CELLS = (2, 12)
"""Range of the number of patches a side of a drawn background."""

_CHANGES = 3
"""Masks of a copy: a cell smaller, as it is, a cell larger."""


def object_copy(image: Image, view: ObjectView, rng: Draws, size: int) -> ObjectPart:
    """Return a changed copy of an object on another background, `size` pixels square, with shares per pixel.

    The mask of the copy is a cell larger, as large or a cell smaller; a larger mask shows some of the other
    background.
    """
    if view.mask is None:
        raise ValueError("a copy of an object needs a view with an object")
    whole = ObjectView("object", np.full_like(view.mask, 255), view.box)
    pixels = object_picture(image, whole, size).astype(np.float32)
    covered = _share(image, view, size)
    seen = _share(image, _changed(view, int(rng.integers(_CHANGES))), size)
    background = _drawn_background(size, rng)
    pixels = pixels * covered + background * (1 - covered)
    pixels *= rng.uniform(*GAIN) * rng.uniform(1 - WHITE_BALANCE, 1 + WHITE_BALANCE, 3).astype(np.float32)
    pixels += NOISE * rng.standard_normal(pixels.shape, np.float32)
    shares = (seen[..., 0] * 255).astype(np.uint8)
    return ObjectPart(pixels.clip(0, 255).astype(np.uint8), shares)


def _share(image: Image, view: ObjectView, size: int) -> Floats:
    """Return how much of each pixel (size x size x 3) of an object's picture the object covers, 0 to 1."""
    white = object_picture(np.full_like(image, 255), view, size, background=(0, 0, 0))
    share: Floats = white.astype(np.float32) / np.float32(255)
    return share


def _changed(view: ObjectView, change: int) -> ObjectView:
    """Return the view with its mask a cell smaller (0), as it is (1) or a cell larger (2)."""
    assert view.mask is not None
    if change == 1:
        return view
    padded = np.pad(view.mask, 1, "edge")
    pick = np.minimum if change == 0 else np.maximum
    rows = pick(pick(padded[:-2], padded[1:-1]), padded[2:])
    return ObjectView("object", pick(pick(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]), view.box)


def _drawn_background(size: int, rng: Draws) -> Floats:
    """Return a drawn background (size x size x 3): patches around one colour, interpolated."""
    cells = int(rng.integers(*_BACKGROUND_CELLS))
    patches = rng.uniform(0, 255, 3) + rng.uniform(0, 80) * rng.standard_normal((cells, cells, 3))
    picture = PIL.Image.fromarray(patches.clip(0, 255).astype(np.uint8))
    background = np.asarray(picture.resize((size, size), PIL.Image.Resampling.BILINEAR))
    return background.astype(np.float32)

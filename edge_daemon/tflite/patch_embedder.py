"""Embed a small region as its own pixels, for matching by normalised cross-correlation.

It sees no colour and knows no pictures but those taught, so it suits what looks the same every time but for
place and light: digits and signs of a few pixels. docs/regions.md has the figures beside a model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as Pillow

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.imaging.preprocess import check_image

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

SIDE = 16
"""Grid cells along each side: twice what a digit of 8 x 10 pixels has, so that a step is half a pixel."""

REACH = 2
"""How far `moved` goes, in cells: an eighth of the region, one pixel of eight."""

FLAT = 2.0
"""A patch whose grey levels spread less than this (standard deviation, of 255) shows nothing."""


class PatchEmbedder:
    """Needs no model: a region's grey levels on a grid, less their mean, at unit length.

    The inner product of two such vectors is their normalised cross-correlation, which neither
    brightness nor contrast changes (Lewis, "Fast Normalized Cross-Correlation", 1995).
    """

    space = f"patch/{SIDE}x{SIDE}-stretch-bicubic-grey/none"
    size = SIDE * SIDE

    def embed(self, image: Image) -> Vector:
        """Embed an RGB uint8 HWC image of any size; float32 of `size` numbers, unit length.

        Raises ImageError for what is no image, EmbeddingError for a flat one.
        """
        check_image(image)
        grey = Pillow.fromarray(image).convert("L").convert("F")
        grid = np.asarray(grey.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC))
        if grid.std() < FLAT:
            raise EmbeddingError("the region is of one grey; there is nothing to compare")
        vector: Vector = _centred_rows(grid.reshape(1, -1))[0]
        return vector


def moved(vector: Vector) -> Vector:
    """Return a patch moved by up to `REACH` cells each way, as rows, itself among them; edges repeat."""
    wide = np.pad(vector.reshape(SIDE, SIDE), REACH, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (SIDE, SIDE))
    return _centred_rows(windows.reshape(-1, SIDE * SIDE))


def _centred_rows(rows: Vector) -> Vector:
    centred: Vector = rows - rows.mean(axis=1, keepdims=True)
    # A window may miss all there is to see; its zeros are like nothing.
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return centred

"""Embedding of a small region as grey pixels, for normalised cross-correlation.

The embedding ignores colour and uses no trained network. It suits patterns that change only in position and
light: digits and signs of a few pixels. docs/regions.md compares its accuracy with a model's.
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
"""Grid cells along each side: twice those of a digit of 8 x 10 pixels, so that a cell is half a pixel."""

MAX_SHIFT = 2
"""Largest shift of `shifted_variants`, in cells: an eighth of the region, one pixel of eight."""

MIN_CONTRAST = 2.0
"""Smallest standard deviation of the grey levels, of 255, of a patch that can be compared."""


class PatchEmbedder:
    """A region's grey levels on a grid, minus their mean, at unit length; needs no model.

    The inner product of two such vectors is their normalised cross-correlation, which is invariant to
    brightness and contrast (Lewis, "Fast Normalized Cross-Correlation", 1995).
    """

    space = f"patch/{SIDE}x{SIDE}-stretch-bicubic-grey/none"
    size = SIDE * SIDE

    def embed(self, image: Image) -> Vector:
        """Embed an RGB uint8 HWC image of any size; float32 of `size` numbers, unit length.

        Raises ImageError for an invalid array, EmbeddingError for an image without contrast.
        """
        check_image(image)
        grey = Pillow.fromarray(image).convert("L").convert("F")
        grid = np.asarray(grey.resize((SIDE, SIDE), Pillow.Resampling.BICUBIC))
        if grid.std() < MIN_CONTRAST:
            raise EmbeddingError("the region is of one grey; there is nothing to compare")
        vector: Vector = _centred_rows(grid.reshape(1, -1))[0]
        return vector


def shifted_variants(vector: Vector) -> Vector:
    """Return the patch shifted by up to `MAX_SHIFT` cells each way, unshifted included, as rows.

    Cells at the edge are repeated.
    """
    padded = np.pad(vector.reshape(SIDE, SIDE), MAX_SHIFT, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE))
    return _centred_rows(windows.reshape(-1, SIDE * SIDE))


def _centred_rows(rows: Vector) -> Vector:
    centred: Vector = rows - rows.mean(axis=1, keepdims=True)
    # A shifted window may have no contrast. Its zeros then match nothing.
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return centred

"""Fixed weights of the edge part: oriented gradients in cells, beside the trained network.

`ORIENTATIONS` signed gradients of the luma, clipped, are averaged over 4 x 4 cells. Each cell is scaled to
unit length together with one constant channel that keeps flat cells flat, as in a histogram of oriented
gradients.
"""

from __future__ import annotations

import numpy as np

from .measure import Floats

ORIENTATIONS = 8
CELLS = 4
GAIN = 12.0
FLATNESS = 0.03
LUMA = np.array([0.299, 0.587, 0.114])

#: Numbers of the edge part, and its length beside the deep part of length 1.
NUMBERS = 80
WEIGHT = 0.3


def convolution() -> tuple[Floats, Floats]:
    """Return kernel (3 x 3 x 3 x ORIENTATIONS + 1) and bias for pixels in -1..1; the last one is constant."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    angles = np.arange(ORIENTATIONS) * 2 * np.pi / ORIENTATIONS
    filters = np.cos(angles) * across[..., None] + np.sin(angles) * across.T[..., None]
    kernel = np.zeros((3, 3, 3, ORIENTATIONS + 1), np.float32)
    kernel[..., :ORIENTATIONS] = GAIN / 2 * LUMA[:, None] * filters[:, :, None]
    bias = np.zeros(ORIENTATIONS + 1, np.float32)
    bias[-1] = GAIN * FLATNESS
    return kernel, bias


def cell_geometry(size: int) -> tuple[int, int]:
    """Return side and step of the pooling window that parts the (unpadded) edge map into CELLS x CELLS."""
    edge_map = (size - 3) // 2 + 1
    step = -(-edge_map // CELLS)
    return edge_map - (CELLS - 1) * step, step

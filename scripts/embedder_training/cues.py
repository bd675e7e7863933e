"""Fixed weights for the two cues beside the deep trunk: a colour palette and oriented edges in cells.

Small networks trained on small photos lose colour and texture first; both can be had without any training.

Colour: every 3 x 3 mean is softly assigned to `PALETTE` colours found by k-means.
`softmax(2 b c.x - b |c|^2)` is the exact soft assignment, so a 1 x 1 convolution and a SOFTMAX do it. Each
colour's share of the image is then clipped at two levels, in place of the square root that histograms like.

Edges: `ORIENTATIONS` signed gradients of the luma, clipped, averaged over 4 x 4 cells, each cell scaled to
unit length together with one constant channel that keeps flat cells flat, as in a histogram of oriented
gradients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .measure import Floats
from .photos import Pixels

PALETTE = 32
SHARPNESS = 100.0
CLIPS = (0.04, 0.3)
ORIENTATIONS = 8
CELLS = 4
EDGE_GAIN = 12.0
FLATNESS = 0.03
LUMA = np.array([0.299, 0.587, 0.114])

#: Luma and two opponent colours, the colours stretched: rows applied to RGB in 0..1.
OPPONENT = np.stack([LUMA, 1.8 * np.array([1.0, -1.0, 0.0]), 1.8 * np.array([-0.5, -0.5, 1.0])])


def find_palette(photos: Pixels, seed: int = 0, rounds: int = 15) -> NDArray[np.float64]:
    """Return `PALETTE` centres in opponent space of the colours of photos (N x S x S x 3), by k-means."""
    rng = np.random.default_rng(seed)
    pixels = photos.reshape(-1, 3)[rng.integers(0, photos.size // 3, 20000)] / 255 @ OPPONENT.T
    centres = pixels[rng.choice(len(pixels), PALETTE, replace=False)]
    for _ in range(rounds):
        nearest = ((pixels[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
        groups = [pixels[nearest == index] for index in range(PALETTE)]
        centres = np.stack([g.mean(axis=0) if len(g) else c for g, c in zip(groups, centres, strict=True)])
    return np.asarray(centres)


def palette_convolution(centres: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Return kernel (1 x 1 x 3 x PALETTE) and bias whose softmax assigns an RGB colour to the centres."""
    kernel: NDArray[np.float64] = 2 * SHARPNESS * (OPPONENT.T @ centres.T)
    bias = -SHARPNESS * (centres**2).sum(axis=1)
    return kernel[None, None].astype(np.float32), bias.astype(np.float32)


def clip_kernel() -> Floats:
    """Return the 1 x 1 depthwise kernel of the clip levels: a share becomes `relu6(6 share / level)`."""
    levels = 6 / np.array(CLIPS)
    return np.broadcast_to(levels, (1, 1, PALETTE, len(CLIPS))).astype(np.float32)


def edge_convolution() -> tuple[Floats, Floats]:
    """Return kernel (3 x 3 x 3 x ORIENTATIONS + 1) and bias; the last channel is the constant."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    angles = np.arange(ORIENTATIONS) * 2 * np.pi / ORIENTATIONS
    filters = np.cos(angles) * across[..., None] + np.sin(angles) * across.T[..., None]
    kernel = np.zeros((3, 3, 3, ORIENTATIONS + 1), np.float32)
    kernel[..., :ORIENTATIONS] = EDGE_GAIN * LUMA[:, None] * filters[:, :, None]
    bias = np.zeros(ORIENTATIONS + 1, np.float32)
    bias[-1] = EDGE_GAIN * FLATNESS
    return kernel, bias


def cell_geometry(size: int) -> tuple[int, int]:
    """Return side and step of the pooling window that parts the (unpadded) edge map into CELLS x CELLS."""
    edge_map = (size - 3) // 2 + 1
    step = -(-edge_map // CELLS)
    return edge_map - (CELLS - 1) * step, step

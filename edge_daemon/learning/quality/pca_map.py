"""Two-dimensional PCA projection of embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_ITERATIONS = 24
"""Iterations of subspace iteration: enough for points on a screen."""

_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class PcaProjection:
    """Projection onto the first two principal components.

    `points` (n x 2, within [-1, 1]) are the fitted vectors. A vector v maps to (v - mean) @ axes / scale,
    which may lie outside of [-1, 1].
    """

    mean: npt.NDArray[np.float32]
    axes: npt.NDArray[np.float32]
    scale: float
    points: npt.NDArray[np.float32]

    def transform(self, vector: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Return the x and y of a vector."""
        x, y = ((vector - self.mean) @ self.axes / self.scale).tolist()
        return x, y


def fit_pca(matrix: npt.NDArray[np.float32]) -> PcaProjection:
    """Fit the projection to the rows (n x d). Deterministic.

    Subspace iteration (Golub and Van Loan, Matrix Computations, 8.2.4) from a fixed start takes two products
    with the matrix per iteration; a full decomposition would take seconds on a small device.
    """
    mean = matrix.mean(axis=0) if len(matrix) else np.zeros(matrix.shape[1], np.float32)
    centred = matrix - mean
    axes: npt.NDArray[np.floating] = np.random.default_rng(1).standard_normal((matrix.shape[1], 2))
    for _ in range(_ITERATIONS):
        axes, _ = np.linalg.qr(centred.T @ (centred @ axes) + _EPSILON * axes)
    spread = centred @ axes
    # Iteration mixes axes of nearly equal variance. A 2 x 2 decomposition separates them, largest first.
    _, _, rotation = np.linalg.svd(spread, full_matrices=False) if len(spread) >= 2 else (0, 0, np.eye(2))
    axes = _fix_signs((axes @ rotation.T).astype(np.float32))
    points = centred @ axes
    scale = float(np.abs(points).max()) if len(points) else 0.0
    scale = scale if scale > _EPSILON else 1.0
    return PcaProjection(mean, axes, scale, points / scale)


def _fix_signs(axes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the axes with the sign that makes their largest component positive, so that maps do not flip."""
    largest = axes[np.abs(axes).argmax(axis=0), (0, 1)]
    return axes * np.where(largest < 0, -1, 1)

"""A flat map of embeddings: their two principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_ROUNDS = 24
"""Of subspace iteration: enough to place points on a screen."""

_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class PcaProjection:
    """Where each embedding lies, and how to place another. `points` is n x 2 within [-1, 1].

    A vector v lies at (v - mean) @ axes / scale; what is far from all examples may lie outside.
    """

    mean: npt.NDArray[np.float32]
    axes: npt.NDArray[np.float32]
    scale: float
    points: npt.NDArray[np.float32]

    def place(self, vector: npt.NDArray[np.float32]) -> tuple[float, float]:
        """Return where a vector lies."""
        x, y = ((vector - self.mean) @ self.axes / self.scale).tolist()
        return x, y


def fit_pca(matrix: npt.NDArray[np.float32]) -> PcaProjection:
    """Map the rows (n x d) to the plane in which they vary most; the same rows give the same map.

    Subspace iteration (Golub and Van Loan, Matrix Computations, 8.2.4) from a fixed start: two products
    with the matrix a round, where a full decomposition would take seconds on a small device.
    """
    mean = matrix.mean(axis=0) if len(matrix) else np.zeros(matrix.shape[1], np.float32)
    centred = matrix - mean
    axes: npt.NDArray[np.floating] = np.random.default_rng(1).standard_normal((matrix.shape[1], 2))
    for _ in range(_ROUNDS):
        axes, _ = np.linalg.qr(centred.T @ (centred @ axes) + _NOTHING * axes)
    spread = centred @ axes
    # Iteration mixes axes of nearly equal variance; a small decomposition sets them apart, longest first.
    _, _, turn = np.linalg.svd(spread, full_matrices=False) if len(spread) >= 2 else (0, 0, np.eye(2))
    axes = _same_way_round((axes @ turn.T).astype(np.float32))
    points = centred @ axes
    scale = float(np.abs(points).max()) if len(points) else 0.0
    scale = scale if scale > _NOTHING else 1.0
    return PcaProjection(mean, axes, scale, points / scale)


def _same_way_round(axes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give each axis the sign that makes its largest number positive: maps do not flip by chance."""
    largest = axes[np.abs(axes).argmax(axis=0), (0, 1)]
    return axes * np.where(largest < 0, -1, 1)

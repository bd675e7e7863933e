"""Turn the teacher's raw embeddings into unit-length targets: centred, partly whitened, fewer dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def whitening(rows: Floats, size: int, power: float = 0.25, floor: float = 0.1) -> tuple[Floats, Floats]:
    """Return mean (D) and matrix (D x size) of a partial whitening onto the `size` strongest directions.

    A row becomes `(row - mean) @ U (e + floor mean(e))^-power`, with U and e the eigenvectors and eigenvalues
    of the covariance.
    """
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov((rows - mean).T.astype(np.float64)))
    weights = (values.clip(0) + floor * values.mean()) ** -power
    strongest = np.argsort(-values)[:size]
    return mean.astype(np.float32), (vectors * weights)[:, strongest].astype(np.float32)


def training_targets(views: list[NDArray[np.float16]], size: int, seed: int = 0) -> list[NDArray[np.float16]]:
    """Whiten the teacher's embeddings (each N x V x D) by their common statistics; to unit length."""
    rng = np.random.default_rng(seed)
    some = [rng.permutation(len(v))[:12000] for v in views]
    rows = np.concatenate(
        [v[s, rng.integers(0, v.shape[1], len(s))] for v, s in zip(views, some, strict=True)]
    )
    mean, matrix = whitening(rows.astype(np.float32), size)
    done = []
    for array in views:
        result = np.empty((*array.shape[:2], size), np.float16)
        for start in range(0, len(array), 2000):
            part = (array[start : start + 2000].astype(np.float32) - mean) @ matrix
            result[start : start + 2000] = part / (np.linalg.norm(part, axis=2, keepdims=True) + 1e-6)
        done.append(result)
    return done

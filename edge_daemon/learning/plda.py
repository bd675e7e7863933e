"""Probabilistic linear discriminant analysis: does a query share a taught class, or is it from a new one?

Sources: S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006; S. Prince and J. Elder,
"Probabilistic Linear Discriminant Analysis for Inferences About Identity", ICCV 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.example_set import Codes, Floats

RANK = 32
"""At most so many directions: they hold what a few hundred examples can say."""

SHRINKAGE = 0.5
"""How much of the average variance is added to every direction, within and between classes."""

_NOTHING = 1e-9
"""A variance below this is rounding: the examples are equal."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plda:
    """Log-likelihood ratios, per direction, of "one of class c" against "of a class never seen".

    In the basis that makes the within-class scatter one and the between-class scatter diagonal, a
    ratio is quadratic in each coordinate, so all classes cost two small products.
    """

    basis: Floats
    offset: Floats
    weights: Floats
    constant: Floats

    def ratios(self, vector: Floats) -> Floats:
        """Return the ratio of each class for one unit vector."""
        z = self.basis.dot(vector)
        z -= self.offset
        ratios: Floats = self.weights.dot(np.concatenate((z, z * z)))
        ratios += self.constant
        return ratios

    def ratios_of(self, vectors: Floats) -> Floats:
        """Return the ratios of many vectors (rows), a column for each class."""
        z = vectors @ self.basis.T - self.offset
        ratios: Floats = np.hstack((z, z * z)) @ self.weights.T + self.constant
        return ratios


def fit_plda(
    vectors: Floats, codes: Codes, classes: int, rank: int = RANK, weight: float = 1.0
) -> Plda | None:
    """Fit to unit vectors (rows) and their classes in `rank` directions; `weight` multiplies the ratios.

    None when no class has two examples, only one class has any, all are equal, or the rank is 0.
    """
    counts = np.bincount(codes, minlength=classes)
    taught = int((counts > 0).sum())
    if rank < 1 or taught < 2 or len(codes) - taught < 2:
        return None
    centre = vectors.mean(axis=0, dtype=np.float64)
    directions, coordinates = _principal(vectors - centre, rank)
    means = _class_means(coordinates, codes, counts)
    if not coordinates.size:
        return None
    deviations = coordinates - means[codes]
    within = _shrink(deviations.T @ deviations / (len(codes) - taught))
    spread = means[counts > 0]
    between = _shrink(spread.T @ spread / (taught - 1))
    rotation, ratio = _diagonalise(within, between)
    basis = (directions @ rotation).T
    return _quadratic(basis, basis @ centre, means @ rotation, counts, ratio, weight)


def _principal(centred: Doubles, rank: int) -> tuple[Doubles, Doubles]:
    """Return the leading directions (as columns) and the rows' coordinates, by the small Gram matrix."""
    values, vectors = np.linalg.eigh(centred @ centred.T)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    kept = values > max(values[0] * 1e-6, _NOTHING * len(centred))
    lengths = np.sqrt(values[kept])
    return centred.T @ (vectors[:, kept] / lengths), vectors[:, kept] * lengths


def _class_means(rows: Doubles, codes: Codes, counts: Codes) -> Doubles:
    belongs = codes == np.arange(len(counts))[:, None]
    sums: Doubles = belongs.astype(np.float64) @ rows
    return sums / np.maximum(counts, 1)[:, None]


def _shrink(scatter: Doubles) -> Doubles:
    mean = max(np.trace(scatter) / len(scatter), _NOTHING)
    shrunk: Doubles = (scatter + SHRINKAGE * mean * np.eye(len(scatter))) / (1 + SHRINKAGE)
    return shrunk


def _diagonalise(within: Doubles, between: Doubles) -> tuple[Doubles, Doubles]:
    """Return R with R'WR = 1 and R'BR = diag(ratio)."""
    inverse = np.linalg.inv(np.linalg.cholesky(within))
    ratio, vectors = np.linalg.eigh(inverse @ between @ inverse.T)
    return inverse.T @ vectors, np.maximum(ratio, 1e-9)


def _quadratic(
    basis: Doubles, offset: Doubles, means: Doubles, counts: Codes, ratio: Doubles, weight: float
) -> Plda:
    """Collect the ratio of two Gaussians per class and direction into a + bz + cz^2.

    Of class c: mean m·n·r/(n·r + 1), variance r/(n·r + 1) + 1; of a new class: mean 0, variance r + 1.
    """
    trust = counts[:, None] * ratio / (counts[:, None] * ratio + 1)
    centre = trust * means
    variance = ratio / (counts[:, None] * ratio + 1) + 1
    share = weight / len(ratio)
    squares = (1 / (ratio + 1) - 1 / variance) * share / 2
    linear = centre / variance * share
    constant = (np.log((ratio + 1) / variance) - centre**2 / variance).sum(axis=1) * share / 2
    constant[counts == 0] = -np.inf
    parts = (basis, offset, np.hstack((linear, squares)), constant)
    return Plda(*(np.ascontiguousarray(part, np.float32) for part in parts))

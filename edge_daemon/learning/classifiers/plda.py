"""Probabilistic linear discriminant analysis (PLDA): likelihood ratios of taught classes against a new class.

Sources: S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006; S. Prince and J. Elder,
"Probabilistic Linear Discriminant Analysis for Inferences About Identity", ICCV 2007.
"""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from edge_daemon.learning.classifiers.base import run_steps
from edge_daemon.learning.sampling import Doubles, Floats, Ints

RANK = 32
"""Maximum number of directions: enough for a few hundred examples."""

SHRINKAGE = 0.5
"""Share of the average variance that is added to every direction, within and between classes."""

_EPSILON = 1e-9
"""A variance below this is rounding error: the examples are equal."""


class Plda(Struct, frozen=True):
    """Log-likelihood ratios of "a member of class c" against "a member of a new class".

    In the basis that makes the within-class scatter one and the between-class scatter diagonal, a
    ratio is quadratic in each coordinate z: `weights` times (z, z^2, 1), for all classes at once.
    `terms` is a buffer for these factors that every call reuses: one owning thread. `class_count` is the
    number of classes with examples; a class without examples has the ratio minus infinity.
    """

    basis: Floats
    offset: Floats
    weights: Floats
    terms: Floats
    class_count: int

    @property
    def rank(self) -> int:
        """The number of directions that the ratios add up."""
        return len(self.basis)

    def ratios(self, vector: Floats) -> Floats:
        """Return the ratio of each class for one unit vector."""
        terms, rank = self.terms, len(self.basis)
        z = terms[:rank]
        self.basis.dot(vector, z)
        np.subtract(z, self.offset, z)
        np.multiply(z, z, terms[rank:-1])
        ratios: Floats = self.weights.dot(terms)
        return ratios

    def ratio(self, vector: Floats) -> float:
        """Return the ratio of all taught classes together, which are equally probable."""
        ratios = self.ratios(vector).tolist()
        best = max(ratios)
        return float(best + math.log(sum([math.exp(each - best) for each in ratios]) / self.class_count))

    def ratio_batch(self, vectors: Floats | Doubles) -> Doubles:
        """Return `ratio` of many vectors (rows)."""
        z = vectors @ self.basis.T - self.offset
        ratios = np.hstack((z, z * z, np.ones((len(z), 1)))) @ self.weights.T
        together: Doubles = np.logaddexp.reduce(ratios, axis=1) - math.log(self.class_count)
        return together

    def in_full_space(self, subspace: Subspace) -> Plda:
        """Return the same model for vectors that are not projected onto the subspace."""
        basis = self.basis @ subspace.directions.T
        offset = self.offset + basis @ subspace.centre
        return replace(self, basis=_float32(basis), offset=_float32(offset))


class Subspace(Struct, frozen=True):
    """The directions (columns) of the largest variance of some vectors, their centre and coordinates.

    A model fitted to the coordinates is a model of the vectors. Several fits to parts of the coordinates
    cost a fraction of fits to the vectors.
    """

    directions: Floats | Doubles
    centre: Doubles
    coordinates: Doubles

    def project(self, vectors: Floats) -> Floats | Doubles:
        """Return the coordinates of other vectors (rows)."""
        return (vectors - self.centre.astype(vectors.dtype)) @ self.directions


def subspace(vectors: Floats | Doubles, rank: int) -> Subspace:
    """Return the `rank` leading directions of vectors (rows) at most, none if all vectors are equal.

    The long products use the precision of the vectors, which suffices for the directions that are kept.
    """
    centre = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - centre.astype(vectors.dtype)
    wide = centred.shape[1] > len(centred)
    scatter = centred @ centred.T if wide else centred.T @ centred
    values, axes = np.linalg.eigh(scatter.astype(np.float64))
    values, axes = values[::-1][:rank], axes[:, ::-1][:, :rank]
    kept = values > max(values.max(initial=0) * 1e-5, _EPSILON * len(centred))
    lengths, axes = np.sqrt(values[kept]), axes[:, kept]
    if wide:
        directions = centred.T @ (axes / lengths).astype(centred.dtype)
        return Subspace(directions, centre, axes * lengths)
    return Subspace(axes, centre, centred @ axes)


def fit_plda(vectors: Floats | Doubles, class_ids: Ints, classes: int, rank: int = RANK) -> Plda | None:
    """Fit a model of `rank` directions to vectors (rows) and their class ids.

    None if no class has two examples, only one class has examples, all are equal, or the rank is 0.
    """
    counts = np.bincount(class_ids, minlength=classes)
    class_count = int((counts > 0).sum())
    if rank < 1 or class_count < 2 or len(class_ids) - class_count < 2:
        return None
    space = subspace(vectors, rank)
    if not space.coordinates.size:
        return None
    return run_steps(iter_fit(space.coordinates, class_ids, counts)).in_full_space(space)


def iter_fit(coordinates: Floats | Doubles, class_ids: Ints, counts: Ints) -> Generator[None, None, Plda]:
    """Fit a model of all directions of the coordinates (rows) in three steps; they are overwritten.

    `counts` are the examples of each class: two classes have some, and one has two. `in_full_space` makes it
    a model of the vectors.
    """
    class_count = int((counts > 0).sum())
    centre = coordinates.mean(axis=0, dtype=np.float64)
    means = _class_means(coordinates, class_ids, counts) - centre * (counts > 0)[:, None]
    coordinates -= (means + centre).astype(coordinates.dtype)[class_ids]
    scatter = (coordinates.T @ coordinates).astype(np.float64)
    within = _shrink(scatter / (len(class_ids) - class_count))
    yield
    inverse = np.linalg.inv(np.linalg.cholesky(within))
    spread = means[counts > 0]
    between = inverse @ _shrink(spread.T @ spread / (class_count - 1)) @ inverse.T
    yield
    ratio, vectors = np.linalg.eigh(between)
    rotation = inverse.T @ vectors
    plda = _quadratic(rotation.T, means @ rotation, counts, np.maximum(ratio, 1e-9))
    return replace(plda, offset=_float32(rotation.T @ centre))


def _class_means(rows: Floats | Doubles, class_ids: Ints, counts: Ints) -> Doubles:
    belongs = (class_ids == np.arange(len(counts))[:, None]).astype(rows.dtype)
    sums: Doubles = (belongs @ rows).astype(np.float64)
    return sums / np.maximum(counts, 1)[:, None]


def _shrink(scatter: Doubles) -> Doubles:
    mean = max(np.trace(scatter) / len(scatter), _EPSILON)
    shrunk: Doubles = (scatter + SHRINKAGE * mean * np.eye(len(scatter))) / (1 + SHRINKAGE)
    return shrunk


def _quadratic(basis: Doubles, means: Doubles, counts: Ints, ratio: Doubles) -> Plda:
    """Collect the ratio of two Gaussians per class and direction into a + bz + cz^2.

    Of class c: mean m·n·r/(n·r + 1), variance r/(n·r + 1) + 1; of a new class: mean 0, variance r + 1.
    """
    trust = counts[:, None] * ratio / (counts[:, None] * ratio + 1)
    centre = trust * means
    variance = ratio / (counts[:, None] * ratio + 1) + 1
    linear = centre / variance
    squares = (1 / (ratio + 1) - 1 / variance) / 2
    constant = (np.log((ratio + 1) / variance) - centre**2 / variance).sum(axis=1) / 2
    constant[counts == 0] = -np.inf
    return Plda(
        basis=_float32(basis),
        offset=np.zeros(len(basis), np.float32),
        weights=_float32(np.hstack((linear, squares, constant[:, None]))),
        terms=np.ones(2 * len(basis) + 1, np.float32),
        class_count=int((counts > 0).sum()),
    )


def _float32(array: Floats | Doubles) -> Floats:
    return np.ascontiguousarray(array, np.float32)

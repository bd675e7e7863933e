"""Probabilistic linear discriminant analysis: does a query share a taught class, or is it from a new one?

Sources: S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006; S. Prince and J. Elder,
"Probabilistic Linear Discriminant Analysis for Inferences About Identity", ICCV 2007.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid, name, softmax
from edge_daemon.learning.embedding_index import Codes, EmbeddingIndex, Floats, SearchResult, newest_balanced

RANK = 32
"""At most so many directions: they hold what a few hundred examples can say."""

SHRINKAGE = 0.5
"""How much of the average variance is added to every direction, within and between classes."""

_NOTHING = 1e-9
"""A variance below this is rounding: the examples are equal."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plda:
    """Log-likelihood ratios of "one of class c" against "of a class never seen".

    In the basis that makes the within-class scatter one and the between-class scatter diagonal, a
    ratio is quadratic in each coordinate z: `weights` times (z, z^2, 1), for all classes at once.
    `terms` is the room for these, used again by every call: one owning thread. `taught` counts the
    classes that had examples; a class without any has the ratio minus infinity.
    """

    basis: Floats
    offset: Floats
    weights: Floats
    terms: Floats
    taught: int

    @property
    def rank(self) -> int:
        """How many directions the ratios add up."""
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
        """Return the ratio of all taught classes together, each as probable as the other."""
        ratios = self.ratios(vector).tolist()
        best = max(ratios)
        return float(best + math.log(sum([math.exp(each - best) for each in ratios]) / self.taught))

    def ratio_of(self, vectors: Floats | Doubles) -> Doubles:
        """Return the same for many vectors (rows)."""
        z = vectors @ self.basis.T - self.offset
        ratios = np.hstack((z, z * z, np.ones((len(z), 1)))) @ self.weights.T
        together: Doubles = np.logaddexp.reduce(ratios, axis=1) - math.log(self.taught)
        return together

    def lifted(self, subspace: Subspace) -> Plda:
        """Return the same model for vectors that are not yet in the subspace."""
        basis = self.basis @ subspace.directions.T
        offset = self.offset + basis @ subspace.centre
        return replace(self, basis=_float32(basis), offset=_float32(offset))


@dataclass(frozen=True, slots=True)
class Subspace:
    """The directions (columns) in which some vectors vary most, their centre, and their coordinates.

    A model fitted to the coordinates is a model of the vectors, at a fraction of the cost when several
    are fitted to parts of them.
    """

    directions: Floats | Doubles
    centre: Doubles
    coordinates: Doubles

    def project(self, vectors: Floats) -> Floats | Doubles:
        """Return the coordinates of further vectors (rows)."""
        return (vectors - self.centre.astype(vectors.dtype)) @ self.directions


def subspace(vectors: Floats | Doubles, rank: int) -> Subspace:
    """Find at most `rank` leading directions of vectors (rows), none when all are equal.

    The long products are in the vectors' own precision, which is enough for directions that are kept.
    """
    centre = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - centre.astype(vectors.dtype)
    wide = centred.shape[1] > len(centred)
    scatter = centred @ centred.T if wide else centred.T @ centred
    values, axes = np.linalg.eigh(scatter.astype(np.float64))
    values, axes = values[::-1][:rank], axes[:, ::-1][:, :rank]
    kept = values > max(values.max(initial=0) * 1e-5, _NOTHING * len(centred))
    lengths, axes = np.sqrt(values[kept]), axes[:, kept]
    if wide:
        directions = centred.T @ (axes / lengths).astype(centred.dtype)
        return Subspace(directions, centre, axes * lengths)
    return Subspace(axes, centre, centred @ axes)


def fit_plda(vectors: Floats | Doubles, codes: Codes, classes: int, rank: int = RANK) -> Plda | None:
    """CropMode to vectors (rows) and their classes in `rank` directions.

    None when no class has two examples, only one class has any, all are equal, or the rank is 0.
    """
    counts = np.bincount(codes, minlength=classes)
    taught = int((counts > 0).sum())
    if rank < 1 or taught < 2 or len(codes) - taught < 2:
        return None
    space = subspace(vectors, rank)
    if not space.coordinates.size:
        return None
    means = _class_means(space.coordinates, codes, counts)
    deviations = space.coordinates - means[codes]
    within = _shrink(deviations.T @ deviations / (len(codes) - taught))
    spread = means[counts > 0]
    between = _shrink(spread.T @ spread / (taught - 1))
    rotation, ratio = _diagonalise(within, between)
    return _quadratic(rotation.T, means @ rotation, counts, ratio).lifted(space)


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


def _quadratic(basis: Doubles, means: Doubles, counts: Codes, ratio: Doubles) -> Plda:
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
        taught=int((counts > 0).sum()),
    )


def _float32(array: Floats | Doubles) -> Floats:
    return np.ascontiguousarray(array, np.float32)


NAMING_RANK = 64
"""Naming gains from more directions than rejecting does."""

DIRECTIONS = 200
"""So many of the newest examples, evenly over the classes, give the directions: what one frame can do."""

SAMPLE = 2000
"""So many give the classes' means and scatter in these directions."""

ROWS_A_FRAME = 200
"""So many are turned into coordinates while a frame waits: one to two milliseconds on x86-64."""

SHARPNESS = 20.0
"""Confidences are the softmax of this times the ratios per direction, calibrated on four sets."""


class PLDAClassifier:
    """Fitted in closed form after a change; by the class means until two classes have an example to spare.

    Up to 200 examples are fitted in the frame that asks. More take a dozen frames at most, in which the
    old fit answers, or the class means if there is none.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._version = -1
        self._labels: Sequence[str] = ()
        self._plda: Plda | None = None
        self._work: Iterator[None] | None = None
        self._first = NearestCentroid(examples)

    def predict(self, query: SearchResult) -> Prediction:
        """Do a bounded part of the fitting if there is any to do; name the class of the largest ratio."""
        if self._version != self._examples.version:
            self._begin()
        if self._work is not None:
            self._advance(self._work)
        if self._plda is None:
            return self._first.predict(query)
        sharpness = np.float32(SHARPNESS / self._plda.rank)
        return name(self._examples, softmax(sharpness * self._plda.ratios(query.vector)), query)

    @property
    def is_converged(self) -> bool:
        """True when the fit is one to the present examples."""
        return self._version == self._examples.version and self._work is None

    def _begin(self) -> None:
        """Start a fit to the present examples; do all of it if they are few."""
        self._plda = self._carried_over()
        self._version, self._labels = self._examples.version, list(self._examples.labels)
        self._work = self._do()
        while self._work is not None and len(self._examples) <= DIRECTIONS:
            self._advance(self._work)

    def _advance(self, work: Iterator[None]) -> None:
        try:
            next(work)
        except StopIteration:
            self._work = None

    def _do(self) -> Iterator[None]:
        """CropMode, in steps of some milliseconds each. The examples stay as they are until it is done."""
        examples = self._examples
        classes = len(examples.labels)
        space = subspace(examples.matrix[newest_balanced(examples.codes, classes, DIRECTIONS)], NAMING_RANK)
        rows = newest_balanced(examples.codes, classes, SAMPLE)
        coordinates = np.empty((len(rows), space.directions.shape[1]))
        yield
        for start in range(0, len(rows), ROWS_A_FRAME):
            part = slice(start, start + ROWS_A_FRAME)
            coordinates[part] = space.project(examples.matrix[rows[part]])
            yield
        plda = fit_plda(coordinates, examples.codes[rows], classes, NAMING_RANK) if coordinates.size else None
        self._plda = None if plda is None else plda.lifted(space)

    def _carried_over(self) -> Plda | None:
        """Give each present class what it had, none to a new one; None where there is nothing to go by."""
        old, labels = self._plda, self._examples.labels
        if old is None or old.basis.shape[1] != self._examples.size:
            return None
        weights = np.zeros((len(labels), old.weights.shape[1]), np.float32)
        weights[:, -1] = -np.inf
        for code, label in enumerate(labels):
            if label in self._labels:
                weights[code] = old.weights[self._labels.index(label)]
        taught = int(np.isfinite(weights[:, -1]).sum())
        return replace(old, weights=weights, taught=taught) if taught else None

"""PLDA classifier: the class of the largest likelihood ratio, in directions that grow with the classes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
from msgspec.structs import replace

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import softmax, to_prediction
from edge_daemon.learning.classifiers.nearest_centroid import NearestCentroid
from edge_daemon.learning.classifiers.plda import Plda, Subspace, iter_fit, subspace
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats, Ints, balanced_sample
from edge_daemon.learning.search_result import SearchResult

MIN_RANK, MAX_RANK = 64, 200
DIRECTIONS_PER_CLASS = 4
"""With 64 directions, 40 classes lose 2 points and 75 classes 3 to 7."""

SUBSPACE_SAMPLE = 200
"""Number of examples, balanced over classes, that give the first subspace: the work of one frame."""

SAMPLE = 1000
"""Number of examples, balanced over classes, that give the class means and scatter."""

WORK_PER_FRAME = 1.6e7
"""Multiply-adds of projections per frame: one to two milliseconds on x86-64."""

SHARPNESS = 20.0
"""Factor of the ratios per direction in the softmax, calibrated on four data sets."""


def classification_rank(classes: int) -> int:
    """Return the maximum number of directions. Classification gains from more of them than rejection does."""
    return min(MAX_RANK, max(MIN_RANK, DIRECTIONS_PER_CLASS * classes))


class PLDAClassifier:
    """PLDA classifier, fitted in closed form after a change.

    Up to 200 examples are fitted within one prediction. More are fitted over some dozens of predictions,
    which use the previous fit. Without a fit, predictions are those of the nearest class mean.
    """

    def __init__(self, examples: EmbeddingIndex) -> None:
        self._examples = examples
        self._version = -1
        self._labels: Sequence[str] = ()
        self._plda: Plda | None = None
        self._work: Iterator[None] | None = None
        self._fallback = NearestCentroid(examples)

    def predict(self, query: SearchResult) -> Prediction:
        """Do a bounded part of a due fit, then predict the class of the largest ratio."""
        confidences = self.confidences(query)
        if confidences is None:
            return self._fallback.predict(query)
        return to_prediction(self._examples, confidences, query)

    def confidences(self, query: SearchResult) -> Floats | None:
        """Do a bounded part of a due fit; return the class probabilities, None without a fit."""
        if self._version != self._examples.version:
            self._start_fit()
        if self._work is not None:
            self._continue_fit(self._work)
        if self._plda is None:
            return None
        return softmax(np.float32(SHARPNESS / self._plda.rank) * self._plda.ratios(query.vector))

    @property
    def is_converged(self) -> bool:
        """True if the model is fitted to the present examples."""
        return self._version == self._examples.version and self._work is None

    def _start_fit(self) -> None:
        """Start a fit to the present examples; complete it at once if they are few."""
        self._plda = self._carried_model()
        self._version, self._labels = self._examples.version, list(self._examples.labels)
        self._work = self._fit_in_steps()
        while self._work is not None and len(self._examples) <= SUBSPACE_SAMPLE:
            self._continue_fit(self._work)

    def _continue_fit(self, work: Iterator[None]) -> None:
        try:
            next(work)
        except StopIteration:
            self._work = None

    def _fit_in_steps(self) -> Iterator[None]:
        """Fit in steps of a few milliseconds each. The examples must not change until it is done."""
        examples = self._examples
        classes = len(examples.labels)
        rank = classification_rank(classes)
        space = subspace(examples.matrix[balanced_sample(examples.class_ids, classes, SUBSPACE_SAMPLE)], rank)
        yield
        rows = balanced_sample(examples.class_ids, classes, SAMPLE)
        class_ids = examples.class_ids[rows]
        counts = np.bincount(class_ids, minlength=classes)
        class_count = int((counts > 0).sum())
        if class_count < 2 or len(rows) - class_count < 2 or not space.coordinates.size:
            self._plda = None
            return
        if len(rows) > SUBSPACE_SAMPLE and rank > MIN_RANK:
            space = yield from _power_iteration(space, examples.matrix, rows)
        coordinates = np.empty((len(rows), space.directions.shape[1]), np.float32)
        for part in _parts(coordinates.shape, examples.matrix.shape[1]):
            coordinates[part] = space.project(examples.matrix[rows[part]])
            yield
        plda = yield from iter_fit(coordinates, class_ids, counts)
        self._plda = plda.in_full_space(space)

    def _carried_model(self) -> Plda | None:
        """Return the previous model for the present classes, None if there is none.

        New classes have the ratio minus infinity.
        """
        old, labels = self._plda, self._examples.labels
        if old is None or old.basis.shape[1] != self._examples.size:
            return None
        weights = np.zeros((len(labels), old.weights.shape[1]), np.float32)
        weights[:, -1] = -np.inf
        for class_id, label in enumerate(labels):
            if label in self._labels:
                weights[class_id] = old.weights[self._labels.index(label)]
        class_count = int(np.isfinite(weights[:, -1]).sum())
        return replace(old, weights=weights, class_count=class_count) if class_count else None


def _parts(shape: tuple[int, ...], size: int) -> list[slice]:
    """Return slices of the rows of a product, one per frame; vectors have `size` numbers."""
    rows = max(1, int(WORK_PER_FRAME / (size * max(1, shape[1]))))
    return [slice(start, start + rows) for start in range(0, shape[0], rows)]


def _power_iteration(space: Subspace, matrix: Floats, rows: Ints) -> Generator[None, None, Subspace]:
    """Return a subspace with more of the variance of these rows: one step of subspace iteration, in steps.

    The subspace of a sample of 200 comes within a point of the exact one after one iteration (Halko,
    Martinsson and Tropp, SIAM Review 2011). Its coordinates are left as they are.
    """
    lengths = np.square(space.coordinates).sum(axis=0)
    scaled = (space.directions / lengths).astype(np.float32)
    centre = space.centre.astype(np.float32)
    products = np.zeros((matrix.shape[1], scaled.shape[1]), np.float32)
    for part in _parts((len(rows), 2 * scaled.shape[1]), matrix.shape[1]):
        vectors = matrix[rows[part]] - centre
        products += vectors.T @ (vectors @ scaled)
        yield
    gram = (products.T @ products).astype(np.float64)
    yield
    try:
        root = np.linalg.inv(np.linalg.cholesky(gram)).astype(np.float32)
    except np.linalg.LinAlgError:
        return space
    return replace(space, directions=products @ root.T)

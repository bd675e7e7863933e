"""Softmax regression (multinomial logistic regression) on unit vectors, fitted in chunks of bounded work."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.base import softmax, to_prediction
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.sampling import Floats, Ints, balanced_sample
from edge_daemon.learning.search_result import SearchResult

MAX_ITERATIONS = 60
"""Enough from zero weights: 200 iterations give the same accuracy within 0.3 points."""

SCALE = 10.0
"""Factor of the embeddings, so that the weights are of order one."""

L2 = 1e-3
"""L2 penalty on the weights. A tenth or ten times of it changes accuracy by less than half a point."""

_POWER_ITERATIONS = 12

_COPY_COST = 10
"""Cost of copying a number, in multiply-adds."""


WORK_PER_FRAME = 2e7
"""Multiply-adds of fitting per frame: one to two milliseconds on x86-64."""

CHUNK_WORK = 5e6
"""Multiply-adds of a chunk. The fitting per frame exceeds WORK_PER_FRAME by this at most."""

SAMPLE = 2000
"""Number of examples, balanced over classes, that are fitted."""


class Weights(Struct, frozen=True):
    """Scores are `matrix @ (vector - centre) + bias`; `matrix` has a row for each class."""

    matrix: Floats
    bias: Floats
    centre: Floats

    def scores(self, vectors: npt.NDArray[np.float32]) -> Floats:
        """Return the class scores of one vector (d) or of many (n x d)."""
        centred: Floats = vectors - self.centre
        scores: Floats = self.matrix.dot(centred) if centred.ndim == 1 else centred @ self.matrix.T
        scores += self.bias
        return scores


class SoftmaxFit:
    """Accelerated full-batch gradient descent (Nesterov 1983; Beck and Teboulle 2009, FISTA's steps).

    Deterministic. Fits the `rows` of `vectors` (all by default), which must not change until the fit ends:
    they are not copied. Starts at `start` if its shape fits. The step is one over the gradient's Lipschitz
    constant: half the largest eigenvalue of the data's second moments. Work is counted in multiply-adds and
    done in chunks of about `chunk_work`.
    """

    def __init__(
        self,
        vectors: Floats,
        class_ids: Ints,
        classes: int,
        start: Weights | None = None,
        *,
        rows: Ints | None = None,
        chunk_work: float = math.inf,
    ) -> None:
        self._source = vectors
        self._rows = None if rows is None or len(rows) == len(class_ids) else rows
        chosen = class_ids if self._rows is None else class_ids[self._rows]
        self._one_hot = (chosen[:, None] == np.arange(classes)).astype(np.float32)
        shape = (classes, vectors.shape[1])
        self._start = start if start is not None and start.matrix.shape == shape else None
        self._chunks = _slices(len(chosen), chunk_work / (vectors.shape[1] * max(_COPY_COST, 2 * classes)))
        self._work = self._iterate()
        self.iterations = 0

    def run(self, work: float) -> Weights | None:
        """Do about `work` multiply-adds; return the weights of the last full iteration, if any."""
        while work > 0 and self.iterations < MAX_ITERATIONS:
            work -= next(self._work)
        return self._weights() if self.iterations else None

    def run_iterations(self, iterations: int) -> Weights:
        """Do `iterations` more iterations and return the weights."""
        goal = self.iterations + iterations
        while self.iterations < goal:
            next(self._work)
        return self._weights()

    def close(self) -> None:
        """Release the vectors, which the reference cycle of the fit and its generator keeps."""
        self._work.close()

    def _weights(self) -> Weights:
        matrix, bias = self._current
        return Weights(matrix * np.float32(SCALE), bias, self._centre)

    def _iterate(self) -> Generator[float, None, None]:
        """Do all work; yield the amount of each chunk."""
        yield from self._choose_centre()
        yield from self._choose_step()
        matrix = np.zeros((self._one_hot.shape[1], self._source.shape[1]), np.float32)
        bias = np.zeros(len(matrix), np.float32)
        if self._start is not None:
            matrix, bias = self._start.matrix / np.float32(SCALE), self._start.scores(self._centre)
        self._current = self._lookahead = (matrix, bias)
        self._momentum = 1.0
        while True:
            yield from self._iteration()

    def _vectors(self, chunk: slice) -> Floats:
        """Return the vectors of a chunk: a view unless only some rows are fitted."""
        return self._source[chunk if self._rows is None else self._rows[chunk]]

    def _work_of(self, vectors: Floats, products: int) -> float:
        """Return the work of `products` products with the vectors of a chunk."""
        return vectors.size * (2.0 * products + (0 if self._rows is None else _COPY_COST))

    def _choose_centre(self) -> Iterator[float]:
        total = np.zeros(self._source.shape[1])
        for chunk in self._chunks:
            vectors = self._vectors(chunk)
            total += vectors.sum(axis=0)
            yield self._work_of(vectors, 1)
        self._centre = (total / len(self._one_hot)).astype(np.float32)

    def _choose_step(self) -> Iterator[float]:
        """Estimate the largest eigenvalue of the scaled, centred data'data / n by power iteration."""
        vector = self._vectors(slice(1))[0] - self._centre
        value = 0.0
        for _ in range(_POWER_ITERATIONS):
            length = float(np.linalg.norm(vector))
            if length == 0.0:
                break
            vector /= np.float32(length)
            product = np.zeros_like(vector)
            for chunk in self._chunks:
                vectors = self._vectors(chunk)
                shares = vectors @ vector - self._centre @ vector
                product += shares @ vectors - shares.sum() * self._centre
                yield self._work_of(vectors, 1)
            vector = product
            value = SCALE**2 * float(np.linalg.norm(vector)) / len(self._one_hot)
        # Power iteration approaches from below; 10 % more keeps the descent stable.
        self._step = np.float32(1.0 / (1.1 * value / 2 + L2))

    def _iteration(self) -> Iterator[float]:
        matrix, bias = self._lookahead
        scale = np.float32(SCALE)
        scaled: Floats = matrix * scale
        offset: Floats = bias - scaled.dot(self._centre)
        gradient, bias_gradient = np.float32(L2) * matrix, np.zeros_like(bias)
        for chunk in self._chunks:
            vectors = self._vectors(chunk)
            residuals = softmax(vectors @ scaled.T + offset)
            residuals -= self._one_hot[chunk]
            residuals /= len(self._one_hot)
            gradient += scale * (residuals.T @ vectors)
            bias_gradient += residuals.sum(axis=0)
            yield self._work_of(vectors, len(matrix))
        gradient -= scale * np.outer(bias_gradient, self._centre)
        new = (matrix - self._step * gradient, bias - bias_gradient)
        momentum = (1 + (1 + 4 * self._momentum**2) ** 0.5) / 2
        extrapolation = np.float32((self._momentum - 1) / momentum)
        old = self._current
        self._lookahead = (
            new[0] + extrapolation * (new[0] - old[0]),
            new[1] + extrapolation * (new[1] - old[1]),
        )
        self._current, self._momentum = new, momentum
        self.iterations += 1


def _slices(count: int, length: float) -> list[slice]:
    """Return slices of about `length` rows that cover `count` rows."""
    rows = max(1, int(min(length, count)))
    return [slice(first, first + rows) for first in range(0, count, rows)]


_NO_WEIGHTS = Weights(np.empty((0, 0), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))


class SoftmaxRegression:
    """Softmax regression that continues from its weights after a change.

    The fit is spread over the next predictions in chunks of bounded work, so that no frame waits for a fit
    and no thread is needed. With 1,280 numbers and 10 classes, 100 examples take 8 predictions and 2,000
    examples about 180. The previous weights are used until the first iteration is complete. The first fit is
    completed at once; with `spread_first_fit` it is spread as well, and all classes are equally probable at
    first. `is_fitted` is true from the first complete fit on.
    """

    def __init__(self, examples: EmbeddingIndex, *, spread_first_fit: bool = False) -> None:
        self._examples = examples
        self._spread_first_fit = spread_first_fit
        self._version = -1
        self._labels: Sequence[str] = ()
        self._weights = _NO_WEIGHTS
        self.is_fitted = False
        self._fit: SoftmaxFit | None = None

    def predict(self, query: SearchResult) -> Prediction:
        """Do a bounded part of a due fit, then classify."""
        return to_prediction(self._examples, self.confidences(query), query)

    def confidences(self, query: SearchResult) -> Floats:
        """Do a bounded part of a due fit; return the class probabilities."""
        if self._version != self._examples.version:
            self._start_fit()
        if self._fit is not None:
            self._continue_fit(self._fit)
        return softmax(self._weights.scores(query.vector))

    @property
    def is_converged(self) -> bool:
        """True if the weights are fitted to the present examples."""
        return self._version == self._examples.version and self._fit is None

    def _start_fit(self) -> None:
        """Start a fit to the present examples; complete it at once if there are no weights to start from."""
        examples = self._examples
        rows = balanced_sample(examples.class_ids, len(examples.labels), SAMPLE)
        start = self._carried_weights()
        chunk_work = math.inf if start is None else CHUNK_WORK
        if self._fit is not None:
            self._fit.close()
        self._fit = SoftmaxFit(
            examples.matrix, examples.class_ids, len(examples.labels), start, rows=rows, chunk_work=chunk_work
        )
        self._weights = start or self._fit.run_iterations(MAX_ITERATIONS)
        self._version, self._labels = examples.version, list(examples.labels)

    def _continue_fit(self, fit: SoftmaxFit) -> None:
        self._weights = fit.run(WORK_PER_FRAME) or self._weights
        if fit.iterations >= MAX_ITERATIONS:
            fit.close()
            self._fit = None
            self.is_fitted = True

    def _carried_weights(self) -> Weights | None:
        """Return the previous weights for the present classes, zeros for new ones; None without weights."""
        old, size = self._weights, self._examples.matrix.shape[1]
        if len(old.centre) != size:
            self.is_fitted = False
            return self._zero_weights() if self._spread_first_fit else None
        matrix = np.zeros((len(self._examples.labels), size), np.float32)
        bias = np.zeros(len(matrix), np.float32)
        for class_id, label in enumerate(self._examples.labels):
            if label in self._labels:
                row = self._labels.index(label)
                matrix[class_id], bias[class_id] = old.matrix[row], old.bias[row]
        return Weights(matrix, bias, old.centre)

    def _zero_weights(self) -> Weights:
        shape = (len(self._examples.labels), self._examples.matrix.shape[1])
        bias, centre = np.zeros(shape[0], np.float32), np.zeros(shape[1], np.float32)
        return Weights(np.zeros(shape, np.float32), bias, centre)

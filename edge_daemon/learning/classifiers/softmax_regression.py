"""Softmax regression on unit vectors, fitted in pieces of work that can be spread over frames."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.types import Prediction
from edge_daemon.learning.classifiers.nearest_centroid import name, softmax
from edge_daemon.learning.embedding_index import Codes, EmbeddingIndex, Floats, SearchResult, newest_balanced

ROUNDS = 60
"""Enough from a cold start: 200 give the same accuracy within 0.3 points."""

SCALE = 10.0
"""Embeddings are spread by this, so that the weights stay of order one."""

PENALTY = 1e-3
"""L2 on the weights; a tenth or ten times it changes accuracy by less than half a point."""

_POWER_ROUNDS = 12

_COPYING = 10
"""To copy a number takes about as long as so many multiply-adds."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Scores are `matrix @ (vector - centre) + bias`, a row for each class."""

    matrix: Floats
    bias: Floats
    centre: Floats

    def scores(self, vectors: npt.NDArray[np.float32]) -> Floats:
        """Return the class scores of one vector or of rows of them."""
        centred: Floats = vectors - self.centre
        scores: Floats = centred @ self.matrix.T
        scores += self.bias
        return scores


class SoftmaxFit:
    """Accelerated full-batch gradient descent (Nesterov 1983; Beck and Teboulle 2009, FISTA's steps).

    Deterministic. Fits the `rows` of `vectors` (all by default), which must stay as they are until the
    first round; begins with `start` where it has rows for the classes. The step is one over the
    gradient's Lipschitz constant: half the largest eigenvalue of the data's second moments. Work is
    counted in multiply-adds and done in pieces of about `piece`.
    """

    def __init__(
        self,
        vectors: Floats,
        codes: Codes,
        classes: int,
        start: Weights | None = None,
        *,
        rows: Codes | None = None,
        piece: float = math.inf,
    ) -> None:
        self._source = vectors
        self._rows = np.arange(len(codes)) if rows is None else rows
        self._truth = (codes[self._rows, None] == np.arange(classes)).astype(np.float32)
        shape = (classes, vectors.shape[1])
        self._start = start if start is not None and start.matrix.shape == shape else None
        self._parts = _cut(len(self._rows), piece / (vectors.shape[1] * max(_COPYING, 2 * classes)))
        self._work = self._do()
        self.rounds = 0

    def spend(self, work: float) -> Weights | None:
        """Do about so much work; return the weights after the last full round, None before the first."""
        while work > 0 and self.rounds < ROUNDS:
            work -= next(self._work)
        return self._weights() if self.rounds else None

    def advance(self, rounds: int) -> Weights:
        """Do so many more rounds and return the weights reached."""
        goal = self.rounds + rounds
        while self.rounds < goal:
            next(self._work)
        return self._weights()

    def close(self) -> None:
        """Let go of the copied vectors: the work and the fit refer to each other, which would keep them."""
        self._work.close()

    def _weights(self) -> Weights:
        matrix, bias = self._now
        return Weights(matrix * np.float32(SCALE), bias, self._centre)

    def _do(self) -> Generator[float, None, None]:
        """Do everything, yielding after each piece how much it was."""
        yield from self._take_data()
        yield from self._choose_step()
        matrix = np.zeros((self._truth.shape[1], self._data.shape[1]), np.float32)
        bias = np.zeros(len(matrix), np.float32)
        if self._start is not None:
            matrix, bias = self._start.matrix / np.float32(SCALE), self._start.scores(self._centre)
        self._now = self._ahead = (matrix, bias)
        self._momentum = 1.0
        while True:
            yield from self._round()

    def _take_data(self) -> Iterator[float]:
        self._data = np.empty((len(self._rows), self._source.shape[1]), np.float32)
        total = np.zeros(self._data.shape[1])
        for part in self._parts:
            self._data[part] = self._source[self._rows[part]]
            total += self._data[part].sum(axis=0)
            yield _COPYING * self._data[part].size
        self._centre = (total / len(self._rows)).astype(np.float32)
        for part in self._parts:
            self._data[part] -= self._centre
            self._data[part] *= np.float32(SCALE)
            yield _COPYING * self._data[part].size

    def _choose_step(self) -> Iterator[float]:
        """Estimate the largest eigenvalue of data'data / n by power iteration."""
        vector = self._data[0].copy()
        value = 0.0
        for _ in range(_POWER_ROUNDS):
            length = float(np.linalg.norm(vector))
            if length == 0.0:
                break
            vector /= np.float32(length)
            product = np.zeros_like(vector)
            for part in self._parts:
                product += (self._data[part] @ vector) @ self._data[part]
                yield 2 * self._data[part].size
            vector = product
            value = float(np.linalg.norm(vector)) / len(self._data)
        # The iteration approaches from below; a tenth more keeps the descent stable.
        self._step = np.float32(1.0 / (1.1 * value / 2 + PENALTY))

    def _round(self) -> Iterator[float]:
        matrix, bias = self._ahead
        slope, lift = np.float32(PENALTY) * matrix, np.zeros_like(bias)
        for part in self._parts:
            shares = _softmax_rows(self._data[part] @ matrix.T + bias)
            shares -= self._truth[part]
            shares /= len(self._data)
            slope += shares.T @ self._data[part]
            lift += shares.sum(axis=0)
            yield 2.0 * self._data[part].size * len(matrix)
        new = (matrix - self._step * slope, bias - lift)
        momentum = (1 + (1 + 4 * self._momentum**2) ** 0.5) / 2
        push = np.float32((self._momentum - 1) / momentum)
        old = self._now
        self._ahead = (new[0] + push * (new[0] - old[0]), new[1] + push * (new[1] - old[1]))
        self._now, self._momentum = new, momentum
        self.rounds += 1


def _cut(count: int, length: float) -> list[slice]:
    """Cut `count` rows into parts of about `length`."""
    rows = max(1, int(min(length, count)))
    return [slice(first, first + rows) for first in range(0, count, rows)]


def _softmax_rows(scores: Floats) -> Floats:
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


WORK_A_FRAME = 2e7
"""Multiply-adds spent on fitting while a frame waits: one to two milliseconds on x86-64."""

PIECE = 5e6
"""What is not divided further; a frame may wait for so much more."""

SAMPLE = 2000
"""So many of the newest examples, evenly over the classes, are fitted."""


_NOTHING = Weights(np.empty((0, 0), np.float32), np.empty(0, np.float32), np.empty(0, np.float32))


class SoftmaxRegression:
    """Fits at once from a cold start, unless it is `patient`; after a change it goes on from its weights.

    A change is spread over the next frames in pieces of bounded work, reading the examples included, so
    no frame waits for a fit and no thread is needed: 100 examples of 1,280 numbers and 10 classes take
    8 frames, 2,000 examples some 180. Until the first round is done the old weights answer; a patient head
    has none at first, and all classes are alike to it.
    """

    def __init__(self, examples: EmbeddingIndex, *, patient: bool = False) -> None:
        self._examples = examples
        self._patient = patient
        self._version = -1
        self._labels: Sequence[str] = ()
        self._weights = _NOTHING
        self._fit: SoftmaxFit | None = None

    def predict(self, query: SearchResult) -> Prediction:
        """Do a bounded part of the fitting if there is any to do, then classify."""
        if self._version != self._examples.version:
            self._begin()
        if self._fit is not None:
            self._advance(self._fit)
        return name(self._examples, softmax(self._weights.scores(query.vector)), query)

    @property
    def is_converged(self) -> bool:
        """True when the weights are those of the present examples."""
        return self._version == self._examples.version and self._fit is None

    def _begin(self) -> None:
        """Start a fit to the present examples; without weights for any of them, do all of it."""
        examples = self._examples
        rows = newest_balanced(examples.codes, len(examples.labels), SAMPLE)
        start = self._carried_over()
        piece = math.inf if start is None else PIECE
        if self._fit is not None:
            self._fit.close()
        self._fit = SoftmaxFit(
            examples.matrix, examples.codes, len(examples.labels), start, rows=rows, piece=piece
        )
        self._weights = start or self._fit.advance(ROUNDS)
        self._version, self._labels = examples.version, list(examples.labels)

    def _advance(self, fit: SoftmaxFit) -> None:
        self._weights = fit.spend(WORK_A_FRAME) or self._weights
        if fit.rounds >= ROUNDS:
            fit.close()
            self._fit = None

    def _carried_over(self) -> Weights | None:
        """Give each present class the weights it had, a new one zeros; None where there is none to go by."""
        old, size = self._weights, self._examples.matrix.shape[1]
        if len(old.centre) != size:
            return self._blank() if self._patient else None
        matrix = np.zeros((len(self._examples.labels), size), np.float32)
        bias = np.zeros(len(matrix), np.float32)
        for code, label in enumerate(self._examples.labels):
            if label in self._labels:
                row = self._labels.index(label)
                matrix[code], bias[code] = old.matrix[row], old.bias[row]
        return Weights(matrix, bias, old.centre)

    def _blank(self) -> Weights:
        shape = (len(self._examples.labels), self._examples.matrix.shape[1])
        bias, centre = np.zeros(shape[0], np.float32), np.zeros(shape[1], np.float32)
        return Weights(np.zeros(shape, np.float32), bias, centre)

"""Softmax regression on unit vectors, fitted in rounds that can be spread over frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_daemon.learning.example_set import Codes, Floats

ROUNDS = 60
"""Enough from a cold start: 200 give the same accuracy within 0.3 points."""

SCALE = 10.0
"""Embeddings are spread by this, so that the weights stay of order one."""

PENALTY = 1e-3
"""L2 on the weights; a tenth or ten times it changes accuracy by less than half a point."""


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

    Deterministic. Starts from `start` where it has rows for the classes. The step is one over the
    gradient's Lipschitz constant: half the largest eigenvalue of the data's second moments.
    """

    def __init__(self, vectors: Floats, codes: Codes, classes: int, start: Weights | None = None) -> None:
        self._centre = vectors.mean(axis=0)
        self._data = (vectors - self._centre) * np.float32(SCALE)
        self._truth = (codes[:, None] == np.arange(classes)).astype(np.float32)
        matrix = np.zeros((classes, vectors.shape[1]), np.float32)
        bias = np.zeros(classes, np.float32)
        if start is not None and start.matrix.shape == matrix.shape:
            matrix, bias = start.matrix / np.float32(SCALE), start.scores(self._centre)
        self._now = self._ahead = (matrix, bias)
        self._momentum = 1.0
        self._step = np.float32(1.0 / (_largest_moment(self._data) / 2 + PENALTY))
        self.rounds = 0

    def advance(self, rounds: int) -> Weights:
        """Do so many more rounds and return the weights reached."""
        for _ in range(rounds):
            self._round()
        self.rounds += rounds
        matrix, bias = self._now
        return Weights(matrix * np.float32(SCALE), bias, self._centre)

    def _round(self) -> None:
        matrix, bias = self._ahead
        scores = self._data @ matrix.T + bias
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        scores -= self._truth
        scores /= len(scores)
        slope = scores.T @ self._data + np.float32(PENALTY) * matrix
        new = (matrix - self._step * slope, bias - scores.sum(axis=0))
        momentum = (1 + (1 + 4 * self._momentum**2) ** 0.5) / 2
        push = np.float32((self._momentum - 1) / momentum)
        old = self._now
        self._ahead = (new[0] + push * (new[0] - old[0]), new[1] + push * (new[1] - old[1]))
        self._now, self._momentum = new, momentum


def _largest_moment(data: Floats) -> float:
    """Return an upper estimate of the largest eigenvalue of data'data / n by power iteration."""
    vector = data.sum(axis=0) + data[0]
    value = 0.0
    for _ in range(12):
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            break
        vector = vector / np.float32(length)
        vector = data.T @ (data @ vector)
        value = float(np.linalg.norm(vector)) / len(data)
    # The iteration approaches from below; a tenth more keeps the descent stable.
    return 1.1 * value

"""Partial whitening of embeddings, by their spread in all photos or within the classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .measure import Floats, Ints

Doubles = NDArray[np.float64]

#: 0 leaves the directions as they are, 1 gives all the same spread within a class.
POWER = 0.75

#: Added to every direction's spread, in mean spreads: narrow directions are not widened without bound.
FLOOR = 0.1


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


def class_whitening(
    rows: Doubles, labels: Ints, changed: Sequence[Doubles], size: int
) -> tuple[Doubles, Doubles]:
    """Return mean (D) and matrix (D x size) that narrow the directions in which alike rows differ.

    Alike are rows (N x D) of one label (-1: none), and a row and its `changed` views, each N x D, whose share
    is the mean over the views. Kept are the strongest directions; a row becomes `(row - mean) @ matrix`, of
    length 1 on average (within-class covariance normalisation, Hatch et al. 2006).
    """
    classed = labels >= 0
    within = _scatter(rows[classed] - _class_means(rows[classed], labels[classed]))
    within += sum(_scatter(view - rows) for view in changed) / len(changed)
    values, vectors = np.linalg.eigh(within)
    narrow = (vectors * (values.clip(0) + FLOOR * values.mean()) ** (-POWER / 2)) @ vectors.T
    strongest = np.linalg.eigh(narrow @ np.cov(rows.T) @ narrow)[1][:, -size:]
    mean, matrix = rows.mean(axis=0), narrow @ strongest
    return mean, matrix / np.linalg.norm((rows - mean) @ matrix, axis=1).mean()


def _scatter(differences: Doubles) -> Doubles:
    scatter: Doubles = differences.T @ differences / len(differences)
    return scatter


def _class_means(rows: Doubles, labels: Ints) -> Doubles:
    """Return for each row the mean of its class."""
    _, numbers = np.unique(labels, return_inverse=True)
    members = np.eye(numbers.max() + 1)[numbers]
    means: Doubles = (members.T @ rows) / members.sum(axis=0)[:, None]
    return means[numbers]

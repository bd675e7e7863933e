"""Measure embeddings few-shot: K examples a class, everything else is the test, several seeds.

All classes, centre-square crop, bilinear resize, unit-length embeddings; three heads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Head = Callable[[Floats, Ints, Floats, int], Ints]

SHOTS = (1, 5, 10, 20)


def unit(rows: Floats) -> Floats:
    """Scale every row (along the last axis) to length one."""
    scaled: Floats = rows / (np.linalg.norm(rows, axis=-1, keepdims=True) + 1e-12)
    return scaled


def knn(examples: Floats, labels: Ints, tests: Floats, classes: int, k: int = 3) -> Ints:
    """Plain vote of the k most similar examples; of labels with equal votes the most similar one wins."""
    similarity = tests @ examples.T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    votes = np.zeros((len(tests), classes))
    for rank in range(order.shape[1]):
        votes[np.arange(len(tests)), labels[order[:, rank]]] += 1
    leaders = votes == votes.max(axis=1, keepdims=True)
    first = np.full(votes.shape, k)
    for rank in range(order.shape[1] - 1, -1, -1):
        first[np.arange(len(tests)), labels[order[:, rank]]] = rank
    return np.asarray(np.argmin(np.where(leaders, first, k + 1), axis=1), np.int64)


def centroid(examples: Floats, labels: Ints, tests: Floats, classes: int) -> Ints:
    """Nearest class mean by cosine."""
    means = unit(np.stack([examples[labels == c].mean(axis=0) for c in range(classes)]))
    return np.asarray(np.argmax(tests @ means.T, axis=1), np.int64)


def linear(examples: Floats, labels: Ints, tests: Floats, classes: int, steps: int = 200) -> Ints:
    """Softmax regression on standardised unit embeddings: gradient descent with momentum, L2 1e-3."""
    mean, spread = examples.mean(axis=0), examples.std() + 1e-6
    x, goal = (examples - mean) / spread, np.eye(classes, dtype=np.float32)[labels]
    rate = 1.0 / (0.25 * np.linalg.norm(x, 2) ** 2 / len(x) + 1e-3)
    weight = np.zeros((x.shape[1], classes), np.float32)
    bias = np.zeros(classes, np.float32)
    ahead_weight, ahead_bias = weight, bias
    for step in range(steps):
        logits = x @ ahead_weight + ahead_bias
        chance = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (chance / chance.sum(axis=1, keepdims=True) - goal) / len(x)
        new_weight = ahead_weight - rate * (x.T @ error + 1e-3 * ahead_weight)
        new_bias = ahead_bias - rate * error.sum(axis=0)
        push = step / (step + 3)
        ahead_weight, ahead_bias = (
            new_weight + push * (new_weight - weight),
            new_bias + push * (new_bias - bias),
        )
        weight, bias = new_weight, new_bias
    return np.asarray(np.argmax((tests - mean) / spread @ weight + bias, axis=1), np.int64)


HEADS: dict[str, Head] = {"knn": knn, "centroid": centroid, "linear": linear}


def few_shot(
    embeddings: Floats,
    labels: Ints,
    heads: tuple[str, ...] = ("knn", "centroid", "linear"),
    shots: tuple[int, ...] = SHOTS,
    seeds: int = 5,
    queries: Floats | None = None,
) -> dict[str, dict[str, float]]:
    """Return accuracy in per cent by head and K, the mean over the seeds.

    `queries` are embeddings of the same photos under other conditions, to test with in place of `embeddings`.
    """
    rows, classes = unit(embeddings.astype(np.float32)), int(labels.max()) + 1
    asked = rows if queries is None else unit(queries.astype(np.float32))
    found: dict[str, dict[str, list[float]]] = {head: {str(k): [] for k in shots} for head in heads}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        order = [rng.permutation(np.flatnonzero(labels == c)) for c in range(classes)]
        for k in shots:
            taught, rest = np.concatenate([o[:k] for o in order]), np.concatenate([o[k:] for o in order])
            for head in heads:
                guess = HEADS[head](rows[taught], labels[taught], asked[rest], classes)
                found[head][str(k)].append(float((guess == labels[rest]).mean()) * 100)
    return {head: {k: round(float(np.mean(v)), 1) for k, v in by_k.items()} for head, by_k in found.items()}

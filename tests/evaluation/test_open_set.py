"""Open-set measurements on synthetic embeddings with known results."""

from __future__ import annotations

import numpy as np

from edge_daemon.evaluation import open_set
from tests.evaluation.test_few_shot import dataset


def test_auroc_is_the_probability_of_the_right_order() -> None:
    assert open_set.auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert open_set.auroc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert open_set.auroc(np.array([0.0, 2.0]), np.array([1.0])) == 0.5


def test_far_and_near_ood_are_rejected() -> None:
    data = dataset(spread=0.3)
    unknown = np.random.default_rng(0).exponential(size=(50, 48)).astype(np.float32)
    unknown /= np.linalg.norm(unknown, axis=1, keepdims=True)
    far = open_set.average(open_set.far_ood(data, unknown, 8, range(2)))
    near = open_set.average(open_set.near_ood(data, 8, [0]))
    assert far.auroc > 0.98
    assert near.auroc > 0.98
    assert far.false_accepts_at_5pct_false_rejects < 0.05
    assert far.false_rejects < 0.15
    assert far.false_accepts < 0.1

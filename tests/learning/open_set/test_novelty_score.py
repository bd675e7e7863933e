"""Novelty scores: single queries, batches and top-k."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.learning.classifiers.plda import fit_plda, subspace
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.novelty_score import NEIGHBOURS, NoveltyScorer, knn_score, plda_score
from tests.learning.open_set.test_rejector import class_of


def taught(classes: int, each: int) -> EmbeddingIndex:
    examples = EmbeddingIndex()
    for class_id in range(classes):
        for row, vector in enumerate(class_of(class_id, each)):
            examples.add(vector, f"c{class_id}", class_id * each + row)
    return examples


def test_single_and_batch_scores_agree() -> None:
    examples = taught(4, 8)
    space = subspace(examples.matrix, 40)
    plda = fit_plda(space.coordinates, examples.class_ids, 4, 20)
    assert plda is not None
    scorer = NoveltyScorer(examples, plda.in_full_space(space))
    queries = np.concatenate([class_of(class_id, 3, seed=1) for class_id in (0, 2, 99)])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    similarities = queries @ examples.matrix.T
    near = knn_score(
        -np.sort(-similarities)[:, :NEIGHBOURS], queries, examples.matrix[similarities.argmax(axis=1)]
    )
    expected = near + plda_score(plda, (queries - space.centre) @ space.directions)
    scores = [scorer(examples.search(query)) for query in queries]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert min(scores[:6]) > max(scores[6:])


def test_top_k_does_not_change_the_similarities() -> None:
    examples = taught(3, 4)
    query = examples.search(class_of(1, 1, seed=1)[0])
    before = query.similarities.copy()
    rows, values = query.top_k(5)
    np.testing.assert_array_equal(query.similarities, before)
    assert rows[:5] == np.argsort(-before)[:5].tolist()
    assert values[:5] == pytest.approx(-np.sort(-before)[:5])
    assert query.top_k(2)[0][:2] == rows[:2]
    assert len(query.top_k(100)[0]) == len(examples)


def test_a_missing_second_neighbour_does_not_count() -> None:
    vectors = np.eye(2, dtype=np.float32)
    alone = knn_score(np.array([[0.8, -np.inf]], np.float32), vectors[:1], vectors[:1])
    twice = knn_score(np.array([[0.8, 0.8]], np.float32), vectors[:1], vectors[:1])
    np.testing.assert_allclose(alone, twice)

"""The margin of queries over unrelated photos, on synthetic embeddings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.cohort import MIN_MARGIN, Cohort, CohortScale
from tests.learning.open_set.test_other_sessions import CLASSES, EACH, SIZE, pattern, views


def unrelated(count: int, first: int = 5000) -> npt.NDArray[np.float32]:
    """Return embeddings of unrelated things, which share what all pictures share."""
    rows = np.stack([pattern(first + number) + pattern(4999) for number in range(count)])
    unit: npt.NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def add_common(rows: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
    """Return embeddings of a model in which all pictures have more in common."""
    sums = rows + share * unrelated(1, first=4998)
    unit: npt.NDArray[np.float32] = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    return unit


def make_scale(common: float = 0.0) -> CohortScale:
    examples = EmbeddingIndex()
    for object_id in range(CLASSES):
        for view in add_common(views(0, object_id, EACH, seed=0), common):
            examples.add(view, f"c{object_id}", len(examples))
    return Cohort(add_common(unrelated(128), common)).scale(examples, examples.matrix, examples.class_ids)


@pytest.fixture(scope="module")
def scale() -> CohortScale:
    return make_scale()


def margins(scale: CohortScale, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.array([scale.compare(row).margin for row in rows])


@pytest.mark.parametrize("common", [0.0, 3.0])
def test_the_margins_of_further_unrelated_pictures_are_those_of_the_cohort(common: float) -> None:
    """They need no constant of the model, whose embeddings have more or less in common."""
    found = margins(make_scale(common), add_common(unrelated(200, first=9000), common))
    assert found.mean() == pytest.approx(0, abs=0.3)
    assert found.std() == pytest.approx(1, abs=0.3)
    assert (found >= MIN_MARGIN).mean() <= 0.05


def test_the_examples_classes_have_a_large_margin_in_another_session(scale: CohortScale) -> None:
    elsewhere = np.concatenate([views(1, object_id, 10, 1) for object_id in range(CLASSES)])
    assert (margins(scale, elsewhere) >= MIN_MARGIN).mean() >= 0.95


def test_a_held_out_class_of_the_session_looks_like_the_session(scale: CohortScale) -> None:
    new = [scale.compare(row) for number in range(60, 100) for row in views(0, number, 5, 3)]
    assert not any(scale.is_unlike_session(each) for each in new)


def test_the_size_is_that_of_the_embeddings() -> None:
    assert Cohort(unrelated(5)).embedding_size == SIZE

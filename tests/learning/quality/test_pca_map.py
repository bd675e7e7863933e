"""The map of embeddings and the examples that stand out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.quality.outliers import find_label_issues
from edge_daemon.learning.quality.pca_map import fit_pca


def unit_rows(rows: list[list[float]]) -> npt.NDArray[np.float32]:
    matrix = np.array(rows, np.float32)
    return np.asarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.float32)


def test_the_axes_are_the_principal_components() -> None:
    random = np.random.default_rng(5)
    matrix = (random.standard_normal((60, 12)) * np.linspace(3, 0.2, 12)).astype(np.float32)
    projection = fit_pca(matrix)
    expected = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)[2][:2]
    assert np.abs(np.sum(projection.axes.T * expected, axis=1)) == pytest.approx([1, 1], abs=1e-3)
    assert np.abs(projection.points).max() == pytest.approx(1)


def test_a_taught_vector_is_placed_where_its_point_is() -> None:
    matrix = unit_rows(np.random.default_rng(2).standard_normal((9, 6)).tolist())
    projection = fit_pca(matrix)
    assert projection.transform(matrix[4]) == pytest.approx(projection.points[4].tolist(), abs=1e-5)


def test_the_same_examples_give_the_same_map() -> None:
    matrix = unit_rows(np.random.default_rng(3).standard_normal((9, 6)).tolist())
    assert np.array_equal(fit_pca(matrix).points, fit_pca(matrix).points)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_or_equal_examples_have_a_place_too(rows: int) -> None:
    projection = fit_pca(np.ones((rows, 8), np.float32))
    assert np.isfinite(projection.points).all()
    assert projection.points.shape == (rows, 2)


def test_twins_repeat_an_earlier_example_of_their_class() -> None:
    matrix = unit_rows([[1, 0, 0], [1, 0.01, 0], [0, 1, 0], [1, 0, 0]])
    found = find_label_issues(matrix, ["a", "a", "a", "b"])
    assert found.near_duplicates == {1}


def test_outliers_lie_nearest_to_another_class() -> None:
    matrix = unit_rows([[1, 0, 0], [1, 0.3, 0], [0, 0, 1], [0, 0.3, 1], [0.1, 0.1, 1]])
    assert find_label_issues(matrix, ["a", "a", "b", "b", "a"]).outliers.get(4) == "b"
    assert find_label_issues(matrix[:1], ["a"]).outliers == {}

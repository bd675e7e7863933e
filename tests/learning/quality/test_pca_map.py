"""PCA projection: axes, transformed vectors, degenerate inputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

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


def test_a_fitted_vector_is_transformed_to_its_point() -> None:
    matrix = unit_rows(np.random.default_rng(2).standard_normal((9, 6)).tolist())
    projection = fit_pca(matrix)
    assert projection.transform(matrix[4]) == pytest.approx(projection.points[4].tolist(), abs=1e-5)


def test_equal_examples_give_equal_projections() -> None:
    matrix = unit_rows(np.random.default_rng(3).standard_normal((9, 6)).tolist())
    assert np.array_equal(fit_pca(matrix).points, fit_pca(matrix).points)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_or_equal_examples_have_points(rows: int) -> None:
    projection = fit_pca(np.ones((rows, 8), np.float32))
    assert np.isfinite(projection.points).all()
    assert projection.points.shape == (rows, 2)

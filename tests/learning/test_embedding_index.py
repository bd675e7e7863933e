"""Embedding index: growth, removal, class order and invalid input."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.errors import EmbeddingError, NoExamplesError
from edge_daemon.learning.embedding_index import EmbeddingIndex, normalize
from edge_daemon.learning.sampling import Floats


def taught(labels: str, size: int = 8) -> EmbeddingIndex:
    examples = EmbeddingIndex()
    rng = np.random.default_rng(0)
    for example_id, label in enumerate(labels):
        examples.add(rng.normal(size=size), label, example_id, group=label)
    return examples


def labels_of(examples: EmbeddingIndex) -> str:
    return "".join(examples.labels[class_id] for class_id in examples.class_ids)


def test_rows_keep_their_position_while_the_matrix_grows() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(500, 16)).astype(np.float32)
    examples = EmbeddingIndex()
    for example_id, row in enumerate(rows):
        examples.add(row, str(example_id % 7), example_id)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(examples.matrix, expected, atol=1e-6)
    assert examples.matrix.flags.c_contiguous
    assert list(examples.ids) == list(range(500))
    assert examples.counts["0"] == 72


def test_growth_copies_a_bounded_number_of_times() -> None:
    examples = EmbeddingIndex()
    blocks = set()
    for example_id in range(2000):
        examples.add([1.0, 2.0], "a", example_id)
        blocks.add(examples.matrix.__array_interface__["data"][0])
    assert len(blocks) < 12


def test_removing_keeps_the_others_in_order() -> None:
    examples = taught("abcabc")
    before = examples.matrix.copy()
    assert examples.remove({1, 3, 99}) == 2
    assert labels_of(examples) == "acbc"
    assert list(examples.ids) == [0, 2, 4, 5]
    assert list(examples.groups) == ["a", "c", "b", "c"]
    np.testing.assert_array_equal(examples.matrix, before[[0, 2, 4, 5]])


def test_a_class_without_examples_is_removed_and_added_last() -> None:
    examples = taught("abc")
    examples.remove([0])
    assert list(examples.counts) == ["b", "c"]
    examples.add(np.ones(8), "a", 7)
    assert list(examples.counts) == ["b", "c", "a"]
    assert labels_of(examples) == "bca"


def test_an_integer_label_precedes_the_others() -> None:
    examples = taught("b7a3")
    assert list(examples.counts) == ["3", "7", "b", "a"]
    assert labels_of(examples) == "b7a3"


def test_clear_of_all_allows_another_length() -> None:
    examples = taught("ab")
    assert examples.clear() == 2
    assert examples.size is None
    examples.add([1.0, 1.0], "a", 0)
    assert examples.size == 2


def test_every_change_raises_the_version() -> None:
    examples = taught("ab")
    versions = [examples.version]
    for change in (lambda: examples.add(np.ones(8), "a", 9), lambda: examples.remove([9]), examples.clear):
        change()
        versions.append(examples.version)
    assert versions == sorted(set(versions))


def test_similarities_are_cosines_of_unnormalised_input() -> None:
    examples = EmbeddingIndex()
    examples.add([2.0, 0.0], "a", 0)
    examples.add([0.0, 0.1], "b", 1)
    np.testing.assert_allclose(examples.search([3.0, 3.0]).similarities, [0.5**0.5] * 2, atol=1e-6)
    np.testing.assert_allclose(
        examples.search(np.array([3, 3], np.float32)).similarities, [0.5**0.5] * 2, atol=1e-6
    )


def test_the_fast_and_the_checked_normalization_agree() -> None:
    examples = taught("abcabc", 100)
    query = np.random.default_rng(2).normal(size=100).astype(np.float32)
    for scale in (1e-20, 1e-3, 1.0, 1e3, 1e18):
        scaled = query * np.float32(scale)
        quick = examples.search(scaled).similarities.copy()
        np.testing.assert_allclose(quick, examples.search(scaled.tolist()).similarities, atol=1e-6)


def test_a_query_before_the_first_example_is_refused() -> None:
    with pytest.raises(NoExamplesError):
        EmbeddingIndex().search([1.0])


def test_normalize_handles_numbers_whose_squares_overflow() -> None:
    vector, norm = normalize([3e200, 4e200])
    np.testing.assert_allclose(vector, [0.6, 0.8], atol=1e-6)
    assert norm == pytest.approx(5e200)


def test_bad_embeddings_change_nothing() -> None:
    examples = taught("ab")
    version = examples.version
    for bad in (np.zeros(8), np.full(8, np.nan), np.ones(7), np.ones((1, 8))):
        with pytest.raises(EmbeddingError):
            examples.add(bad, "new", 5)
    assert examples.version == version
    assert list(examples.counts) == ["a", "b"]


def test_with_query_augmentation_the_nearest_variant_counts() -> None:
    def shifted(vector: Floats) -> Floats:
        return np.stack([np.append(vector[1:], vector[:1]), vector, np.append(vector[-1:], vector[:-1])])

    examples = EmbeddingIndex(shifted)
    examples.add([1, 0, 0, 0], "first", 0)
    examples.add([0, 0, 1, 0.1], "third", 1)
    query = examples.search([0, 1, 0, 0])
    assert query.similarities == pytest.approx([1, 1 / np.hypot(1, 0.1)], abs=1e-6)
    assert query.vector == pytest.approx([1, 0, 0, 0])
    assert EmbeddingIndex().augment_query is None

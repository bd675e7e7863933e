"""Folder names matched to a model's labels; top-1 and top-5."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.evaluation.own_classes import Judged, accuracy, by_label, judge, match_labels

CLASSES = (
    "background",
    "tabby, tabby cat",
    "Egyptian cat",
    "crane",
    "crane (2)",
    "hot-dog, red hot",
    "Tabby",
)


@pytest.mark.parametrize(
    ("folder", "numbers"),
    [
        ("Egyptian_cat", (2,)),
        ("egyptian  CAT", (2,)),
        ("crane", (3, 4)),
        ("crane (2)", (4,)),
        ("red hot", (5,)),
        ("hot dog", (5,)),
        ("tabby", (6,)),  # the whole name of a class counts before a synonym
        ("tabby cat", (1,)),
        ("tabby, tabby cat", (1,)),
        ("cat", ()),
        ("2", ()),
    ],
)
def test_a_folder_means_the_classes_of_its_name(folder: str, numbers: tuple[int, ...]) -> None:
    assert match_labels([folder], CLASSES) == {folder: numbers}


def test_the_rank_is_that_of_the_best_true_class_and_ties_go_by_number() -> None:
    probabilities = np.array([0.1, 0.3, 0.3, 0.0, 0.3], np.float32)
    first = judge(7, "a", (1,), probabilities)
    assert (first.row, first.label, first.predicted, first.rank) == (7, "a", 1, 0)
    assert judge(7, "a", (2,), probabilities).rank == 1
    assert judge(7, "a", (4, 0), probabilities).rank == 2
    assert judge(7, "a", (3,), probabilities).rank == 4
    assert judge(0, "a", (1,), 2 * probabilities).probability == pytest.approx(0.3), "at any length"


def test_top_1_and_top_5_count_ranks() -> None:
    judged = [Judged(row, "ab"[row % 2], 0, 0.5, rank) for row, rank in enumerate([0, 4, 5, 0])]
    figures = accuracy(judged, 1000)
    assert (figures.pictures, figures.top1, figures.top5) == (4, 0.5, 0.75)
    assert figures.interval == pytest.approx((0.150, 0.850), abs=0.001), "Wilson's interval of 2 of 4"
    assert accuracy(judged, 5).top5 is None
    assert {label: len(group) for label, group in by_label(judged).items()} == {"a": 2, "b": 2}

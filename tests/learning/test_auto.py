"""The choice of a head: only for a real gain, and never in one long stop once running."""

from __future__ import annotations

import logging
from collections.abc import Generator

import numpy as np
import pytest

from edge_daemon.learning.auto import HEADS, AutoHead
from edge_daemon.learning.contest import FOLDS, Marks, better, contest, cross_validate, deal
from edge_daemon.learning.example_set import ExampleSet


def rings(count: int, seed: int = 0) -> ExampleSet:
    """Two classes that only neighbours tell apart: each is a ring of narrow clusters between the other's."""
    rng = np.random.default_rng(seed)
    examples = ExampleSet()
    for example_id in range(count):
        angle = 2 * np.pi * (example_id % 12) / 12 + rng.normal() * 0.02
        examples.add([np.cos(angle), np.sin(angle)], "ab"[example_id % 2], example_id)
    return examples


def test_a_head_with_a_real_gain_is_taken_and_said(caplog: pytest.LogCaptureFixture) -> None:
    examples = rings(96)
    head = AutoHead(examples)
    with caplog.at_level(logging.INFO):
        assert head.predict(examples.compare([1.0, 0.0])).label == "a"
    assert head.choice.startswith("knn")
    assert "points more right than discriminant" in caplog.text


def test_without_a_real_gain_the_first_stays() -> None:
    rng = np.random.default_rng(1)
    examples = ExampleSet()
    for example_id in range(40):
        examples.add(rng.normal(size=8) + 4 * np.eye(8)[example_id % 2], "ab"[example_id % 2], example_id)
    head = AutoHead(examples)
    head.predict(examples.compare(np.ones(8)))
    assert head.choice == next(iter(HEADS))


def test_a_gain_must_be_twice_its_standard_error() -> None:
    present = np.array([True] * 50 + [False] * 10)
    for won, expected in ((4, "old"), (5, "new")):
        new = present.copy()
        new[50 : 50 + won] = True
        assert better({"old": present, "new": new}, "old") == expected


def test_a_later_choice_takes_a_step_a_frame() -> None:
    examples = rings(12)
    head = AutoHead(examples)
    head.predict(examples.compare([1.0, 0.0]))
    assert head.choice == "discriminant"
    more = rings(96, seed=2)
    for row in range(96):
        examples.add(more.matrix[row], more.labels[int(more.codes[row])], 100 + row)
    frames = 0
    while head.choice == "discriminant":
        head.predict(examples.compare([1.0, 0.0]))
        frames += 1
        assert frames < 100
    # One frame begins, each step takes one, one decides.
    assert frames == 1 + FOLDS * len(HEADS) + 1


def test_the_examples_may_change_during_a_contest() -> None:
    examples = rings(48)
    expected = cross_validate(rings(48), HEADS)
    steps = contest(examples, HEADS)
    next(steps)
    examples.clear()
    marks: dict[str, Marks] = {}

    def finish() -> Generator[None, None, None]:
        marks.update((yield from steps))

    list(finish())
    assert {each: right.tolist() for each, right in marks.items()} == {
        each: right.tolist() for each, right in expected.items()
    }


def test_no_burst_is_split_over_folds() -> None:
    examples = ExampleSet()
    for example_id in range(60):
        examples.add([1.0, example_id], "ab"[example_id % 2], example_id, group=f"burst {example_id // 6}")
    folds = deal(examples)
    for label in range(2):
        for burst in range(10):
            own = [row for row in range(60) if row // 6 == burst and row % 2 == label]
            assert len(set(folds[own].tolist())) == 1
    assert set(folds.tolist()) == set(range(FOLDS))

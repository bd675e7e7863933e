"""The demo's script: lessons by press, then a show that a small model can pass honestly."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.camera.simulator.objects import KINDS
from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.demo.script import DemoScript, make_script
from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.types import UNKNOWN, Frame
from edge_daemon.learning.classifiers.knn import KNNClassifier
from edge_daemon.system.testing import ManualClock
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.shared_files import shared_path

LABELS = ("gear", "lemon", "strawberry", "mug")
PRESS_LAG = 3
"""Frames between a press and the frame it labels, at most, on a slow machine."""


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """The whole showcase, as a camera sees it."""
    show = make_script(LABELS)
    clock = ManualClock()
    source = SyntheticSource(SyntheticOptions(seed=7), clock, show.showings, sleep=clock.sleep)
    source.open()
    return [frame for _ in range(show.frames) if (frame := source.read())]


def _scored(show: DemoScript) -> dict[int, str]:
    return {seq: label for seq in range(show.frames) if (label := show.truth(seq))}


def test_it_lasts_less_than_a_minute_and_scores_enough_frames() -> None:
    show = make_script(LABELS)
    assert show.frames <= 60 * 15
    assert len(_scored(show)) >= 200


def test_every_label_is_taught_by_five_presses_while_its_thing_lies_still() -> None:
    show = make_script(LABELS)
    clock = ManualClock()
    source = SyntheticSource(SyntheticOptions(), clock, show.showings, sleep=clock.sleep)
    assert [label for _, label in show.presses] == [label for label in LABELS for _ in range(5)]
    for seq, label in show.presses:
        assert {source.truth(later) for later in range(seq, seq + PRESS_LAG + 1)} == {label}


def test_the_lesson_is_not_scored_and_comes_before_the_show() -> None:
    show = make_script(LABELS)
    assert max(seq for seq, _ in show.presses) < show.lesson_frames
    assert min(_scored(show)) >= show.lesson_frames


def test_the_show_repeats_nothing_of_the_lesson() -> None:
    show = make_script(LABELS)
    variations = [showing.variation for showing in show.showings]
    assert len(set(variations)) == len(variations)


def test_each_taught_thing_returns_and_strangers_and_empty_trays_are_unknown() -> None:
    show = make_script(LABELS)
    truth = _scored(show)
    assert set(truth.values()) == {*LABELS, UNKNOWN}
    strangers = {showing.kind for showing in show.showings} - set(LABELS)
    assert None in strangers
    assert len(strangers) >= 6


def test_the_order_of_the_show_is_not_that_of_the_lesson() -> None:
    show = make_script(LABELS)
    kinds = [showing.kind for showing in show.showings[len(show.presses) :] if showing.kind in LABELS]
    assert kinds != sorted(kinds, key=LABELS.index)


def test_all_kinds_can_be_taught_at_once() -> None:
    assert UNKNOWN in _scored(make_script(KINDS)).values()


@pytest.mark.parametrize("labels", [(), ("gear", "unicorn")])
def test_labels_that_can_not_be_drawn_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="the demo draws only battery, bolt"):
        make_script(labels)


@pytest.mark.parametrize("model", ["mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_a_small_model_learns_the_lesson_and_finds_strangers_less_similar(
    model: str, frames: list[Frame]
) -> None:
    show = make_script(LABELS)
    taught = {seq + 1: label for seq, label in show.presses}
    asked = dict(list(_scored(show).items())[::5])
    embedder = TfliteEmbedder(shared_path(f"models/{model}.tflite"), threads=1)
    classifier = KNNClassifier(k=3)
    for seq, label in taught.items():
        classifier.add(embedder.embed(frames[seq].image), label)
    said = {seq: classifier.predict(embedder.embed(frames[seq].image)) for seq in asked}
    right = [said[seq].label == label for seq, label in asked.items() if label != UNKNOWN]
    known = [said[seq].similarity for seq, label in asked.items() if label != UNKNOWN]
    strange = [said[seq].similarity for seq, label in asked.items() if label == UNKNOWN]
    assert np.mean(right) >= 0.97
    assert np.median(known) > np.median(strange) + 0.2
    assert np.mean(np.array(known)[:, None] > np.array(strange)[None]) >= 0.97

"""Script of the demo: training by presses, then a test that a small model passes."""

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
from tests.harness.thresholds import SMALL_MODEL_ACCURACY, SMALL_MODEL_AUROC, SMALL_MODEL_SIMILARITY_GAP

LABELS = ("gear", "lemon", "strawberry", "mug")
PRESS_LAG = 3
"""Frames between a press and the frame it labels, at most, on a slow machine."""


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """All frames of the script."""
    script = make_script(LABELS)
    clock = ManualClock()
    source = SyntheticSource(SyntheticOptions(seed=7), clock, script.segments, sleep=clock.sleep)
    source.open()
    return [frame for _ in range(script.frames) if (frame := source.read())]


def _scored(script: DemoScript) -> dict[int, str]:
    return {seq: label for seq in range(script.frames) if (label := script.truth(seq))}


def test_script_lasts_less_than_a_minute_and_scores_enough_frames() -> None:
    script = make_script(LABELS)
    assert script.frames <= 60 * 15
    assert len(_scored(script)) >= 200


def test_every_label_has_five_presses_while_its_object_lies_still() -> None:
    script = make_script(LABELS)
    clock = ManualClock()
    source = SyntheticSource(SyntheticOptions(), clock, script.segments, sleep=clock.sleep)
    assert [label for _, label in script.presses] == [label for label in LABELS for _ in range(5)]
    for seq, label in script.presses:
        assert {source.truth(later) for later in range(seq, seq + PRESS_LAG + 1)} == {label}


def test_training_phase_is_not_scored_and_precedes_the_test_phase() -> None:
    script = make_script(LABELS)
    assert max(seq for seq, _ in script.presses) < script.training_frames
    assert min(_scored(script)) >= script.training_frames


def test_no_variation_of_the_training_phase_occurs_in_the_test_phase() -> None:
    script = make_script(LABELS)
    variations = [segment.variation for segment in script.segments]
    assert len(set(variations)) == len(variations)


def test_test_phase_has_every_label_and_unknown_objects_and_empty_trays() -> None:
    script = make_script(LABELS)
    truth = _scored(script)
    assert set(truth.values()) == {*LABELS, UNKNOWN}
    kinds = {segment.kind for segment in script.segments} - set(LABELS)
    assert None in kinds
    assert len(kinds) >= 6


def test_order_of_the_test_phase_differs_from_the_training_phase() -> None:
    script = make_script(LABELS)
    kinds = [segment.kind for segment in script.segments[len(script.presses) :] if segment.kind in LABELS]
    assert kinds != sorted(kinds, key=LABELS.index)


def test_all_kinds_can_be_labels() -> None:
    assert UNKNOWN in _scored(make_script(KINDS)).values()


@pytest.mark.parametrize("labels", [(), ("gear", "unicorn")])
def test_labels_that_cannot_be_drawn_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="the demo draws only battery, bolt"):
        make_script(labels)


@pytest.mark.parametrize("model", ["mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_small_model_classifies_the_test_phase_and_unknown_objects_are_less_similar(
    model: str, frames: list[Frame]
) -> None:
    script = make_script(LABELS)
    labels = {seq + 1: label for seq, label in script.presses}
    expected = dict(list(_scored(script).items())[::5])
    embedder = TfliteEmbedder(shared_path(f"models/{model}.tflite"), threads=1)
    classifier = KNNClassifier(k=3)
    for seq, label in labels.items():
        classifier.add(embedder.embed(frames[seq].image), label)
    predicted = {seq: classifier.predict(embedder.embed(frames[seq].image)) for seq in expected}
    correct = [predicted[seq].label == label for seq, label in expected.items() if label != UNKNOWN]
    known = [predicted[seq].similarity for seq, label in expected.items() if label != UNKNOWN]
    unknown = [predicted[seq].similarity for seq, label in expected.items() if label == UNKNOWN]
    assert np.mean(correct) >= SMALL_MODEL_ACCURACY.limit
    assert np.median(known) > np.median(unknown) + SMALL_MODEL_SIMILARITY_GAP.limit
    assert np.mean(np.array(known)[:, None] > np.array(unknown)[None]) >= SMALL_MODEL_AUROC.limit

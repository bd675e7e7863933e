"""The vote of one object's frames."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from edge_daemon.domain.types import UNKNOWN, Frame, Prediction
from edge_daemon.tracking.object_tracker import VoteAggregator


def _frame(seq: int) -> Frame:
    return Frame(np.zeros((1, 1, 3), np.uint8), seq, float(seq), datetime(2026, 1, 1, tzinfo=UTC))


def _votes(*frames: tuple[str, float, float]) -> VoteAggregator:
    aggregator = VoteAggregator()
    for seq, (label, confidence, visibility) in enumerate(frames):
        confidences = {} if label == UNKNOWN else {label: confidence}
        aggregator.add(_frame(seq), Prediction(label, confidences, 0.9), visibility)
    return aggregator


def test_without_a_frame_there_is_nothing_to_say() -> None:
    assert VoteAggregator().result() is None


def test_one_centred_frame_outvotes_several_at_the_edge() -> None:
    outcome = _votes(("nut", 1.0, 0.05), ("bolt", 1.0, 0.5), ("nut", 1.0, 0.05)).result()
    assert outcome is not None
    assert (outcome.label, outcome.frames, outcome.best.seq) == ("bolt", 3, 1)
    assert outcome.confidence == pytest.approx(0.5 / 0.6)


def test_a_sure_frame_outvotes_an_unsure_one() -> None:
    outcome = _votes(("nut", 0.4, 0.5), ("bolt", 0.9, 0.5)).result()
    assert outcome is not None
    assert outcome.label == "bolt"


def test_a_thing_rejected_in_most_frames_is_unknown_without_confidence() -> None:
    outcome = _votes(*[(UNKNOWN, 0.0, 0.5)] * 5, ("nut", 1.0, 0.5)).result()
    assert outcome is not None
    assert (outcome.label, outcome.confidence) == (UNKNOWN, 0.0)


def test_a_thing_rejected_only_at_the_edges_has_its_name() -> None:
    outcome = _votes((UNKNOWN, 0, 0.1), ("nut", 1.0, 0.5), (UNKNOWN, 0, 0.2)).result()
    assert outcome is not None
    assert outcome.label == "nut"


def test_of_frames_that_show_it_equally_well_the_surest_is_the_best() -> None:
    outcome = _votes(("nut", 0.5, 1.0), ("nut", 0.9, 1.0), ("nut", 0.7, 1.0)).result()
    assert outcome is not None
    assert outcome.best.seq == 1

"""Simulated camera: frames, ground truth and determinism."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.camera.simulator.objects import KINDS
from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.camera.simulator.timeline import GroundTruthInterval, Segment
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.system.testing import ManualClock

SMALL = SyntheticOptions(size=(160, 120))
BELT = SyntheticOptions(scene="belt", size=(160, 120), belt_speed=1.5)


def _source(options: SyntheticOptions = SMALL, timeline: list[Segment] | None = None) -> SyntheticSource:
    clock = ManualClock()
    source = SyntheticSource(options, clock, timeline, sleep=clock.sleep)
    source.open()
    return source


def _frames(source: SyntheticSource, count: int) -> list[Frame]:
    return [frame for _ in range(count) if (frame := source.read())]


def _difference(one: Frame, other: Frame) -> float:
    return float(np.abs(one.image.astype(int) - other.image).mean())


def test_the_same_seed_gives_the_same_frames() -> None:
    first, second = _frames(_source(), 50), _frames(_source(), 50)
    assert all(np.array_equal(one.image, two.image) for one, two in zip(first, second, strict=True))


def test_another_seed_gives_other_frames() -> None:
    other = _source(SyntheticOptions(size=(160, 120), seed=2))
    assert _difference(_frames(_source(), 20)[-1], _frames(other, 20)[-1]) > 10


def test_frames_have_the_configured_size_and_rate() -> None:
    frames = _frames(_source(SyntheticOptions(size=(200, 100), fps=20)), 5)
    assert frames[0].image.shape == (100, 200, 3)
    assert frames[4].captured_s - frames[0].captured_s == pytest.approx(0.2)


def test_every_kind_appears_before_the_endless_tray_repeats_one() -> None:
    intervals = _source().intervals(45 * len(KINDS))
    assert sorted(interval.kind for interval in intervals) == sorted(KINDS)


def test_the_endless_tray_is_sometimes_empty_and_has_no_end() -> None:
    source = _source()
    assert source.truth(45 * len(KINDS) + 20) is None
    assert source.truth(45 * 1_000_000 + 20) is not None


def test_truth_names_a_still_object_and_none_during_motion() -> None:
    source = _source(timeline=[Segment("gear", 30, 1), Segment(None, 20, 2), Segment("leaf", 30, 3)])
    truth = [source.truth(seq) for seq in range(82)]
    assert set(truth[:7]) == {None}
    assert set(truth[7:25]) == {"gear"}
    assert set(truth[25:57]) == {None}
    assert set(truth[57:75]) == {"leaf"}
    assert truth[80:] == [None, None]


def test_an_object_is_still_except_for_noise_and_moves_in_the_transitions() -> None:
    frames = _frames(_source(timeline=[Segment("brick", 30, 5)]), 30)
    still = max(_difference(frames[7], frame) for frame in frames[8:25])
    assert still < 12
    assert _difference(frames[7], frames[0]) > 2 * _difference(frames[7], frames[24])
    assert not np.array_equal(frames[10].image, frames[11].image)


def test_the_still_object_is_in_the_picture() -> None:
    for kind in KINDS:
        shown = _frames(_source(timeline=[Segment(kind, 13, 6)]), 8)[-1]
        empty = _frames(_source(timeline=[Segment(None, 13, 6)]), 8)[-1]
        changed = np.abs(shown.image.astype(int) - empty.image).max(axis=2) > 40
        assert 0.02 < changed.mean() < 0.6, kind
        assert changed[30:90, 40:120].any(), kind


def test_a_timeline_ends_and_stays_ended() -> None:
    source = _source(timeline=[Segment("key", 13, 1)])
    assert len(_frames(source, 100)) == 13
    assert source.read() is None


def test_a_limit_of_frames_ends_the_endless_tray() -> None:
    assert len(_frames(_source(SyntheticOptions(size=(64, 48), frames=4)), 100)) == 4


def test_reading_a_closed_source_is_refused() -> None:
    source = _source()
    source.close()
    with pytest.raises(CameraError, match="open it"):
        source.read()


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match=r"can't draw unicorn; kinds are battery, bolt"):
        _source(timeline=[Segment("unicorn", 30)])


def test_belt_objects_enter_left_and_leave_right_once_each() -> None:
    source = _source(BELT, [Segment("lemon", 30, 1), Segment(None, 6), Segment("lemon", 30, 2)])
    empty = _frames(_source(BELT, [Segment(None, 66)]), 66)
    yellow = []
    for frame, bare in zip(_frames(source, 66), empty, strict=True):
        columns = (np.abs(frame.image.astype(int) - bare.image).max(axis=2) > 70).any(axis=0).nonzero()[0]
        yellow.append(columns.mean() if columns.size else None)
    for interval in source.intervals(66):
        seen = [place for place in yellow[interval.first : interval.end] if place is not None]
        assert seen == sorted(seen)
        assert seen[0] < 20
        assert seen[-1] > 140
        assert yellow[interval.first] is None
        assert yellow[interval.end - 1] is None
    assert yellow[30:36] == [None] * 6


def test_belt_intervals_are_known_in_advance() -> None:
    source = _source(BELT, [Segment("lemon", 30, 1), Segment(None, 6), Segment("nut", 30, 2)])
    assert source.intervals(1) == (GroundTruthInterval("lemon", 0, 19),)
    assert source.intervals(10_000) == (
        GroundTruthInterval("lemon", 0, 19),
        GroundTruthInterval("nut", 36, 55),
    )


def test_belt_truth_is_the_object_in_the_middle() -> None:
    source = _source(BELT, [Segment("lemon", 30, 1)])
    named = [seq for seq in range(30) if source.truth(seq) == "lemon"]
    assert named == list(range(named[0], named[-1] + 1))
    assert 0 < named[0] < named[-1] < source.intervals(1)[0].end


def test_belt_refuses_a_segment_too_short_to_cross() -> None:
    with pytest.raises(ValueError, match="needs 19 frames"):
        _source(BELT, [Segment("lemon", 10)])

"""Segments by frame number."""

from __future__ import annotations

import pytest

from edge_daemon.camera.simulator.timeline import Segment, Timeline

TWO = (Segment("gear", 10, 3), Segment(None, 5, 4))


def test_every_frame_belongs_to_its_segment() -> None:
    timeline = Timeline(TWO)
    kinds = [position.segment.kind for seq in range(15) if (position := timeline.at(seq))]
    assert kinds == ["gear"] * 10 + [None] * 5
    last = timeline.at(14)
    assert last is not None
    assert (last.first, last.offset) == (10, 4)


def test_a_finite_timeline_ends() -> None:
    timeline = Timeline(TWO)
    assert timeline.at(15) is None
    assert timeline.at(-1) is None


def test_a_repeated_timeline_shows_the_same_kinds_in_new_variations() -> None:
    timeline = Timeline(TWO, repeat=True)
    again = timeline.at(15 * 1_000_000)
    assert again is not None
    assert again.segment.kind == "gear"
    assert again.segment.variation != TWO[0].variation
    assert again.first == 15 * 1_000_000


def test_segment_starts_are_those_before_a_frame() -> None:
    firsts = [position.first for position in Timeline(TWO, repeat=True).segment_starts(30)]
    assert firsts == [0, 10, 15, 25]
    assert [position.first for position in Timeline(TWO).segment_starts(1000)] == [0, 10]


@pytest.mark.parametrize("segments", [(), (Segment("gear", 0),)])
def test_an_empty_timeline_is_refused(segments: tuple[Segment, ...]) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        Timeline(segments)

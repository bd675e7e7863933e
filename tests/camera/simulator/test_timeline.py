"""Which showing a frame belongs to."""

from __future__ import annotations

import pytest

from edge_daemon.camera.simulator.timeline import Segment, Timeline

TWO = (Segment("gear", 10, 3), Segment(None, 5, 4))


def test_every_frame_belongs_to_the_showing_it_falls_into() -> None:
    timeline = Timeline(TWO)
    kinds = [moment.showing.kind for seq in range(15) if (moment := timeline.at(seq))]
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
    assert again.showing.kind == "gear"
    assert again.showing.variation != TWO[0].variation
    assert again.first == 15 * 1_000_000


def test_moments_are_the_showings_that_begin_before_a_frame() -> None:
    firsts = [moment.first for moment in Timeline(TWO, repeat=True).moments(30)]
    assert firsts == [0, 10, 15, 25]
    assert [moment.first for moment in Timeline(TWO).moments(1000)] == [0, 10]


@pytest.mark.parametrize("showings", [(), (Segment("gear", 0),)])
def test_an_empty_timeline_is_refused(showings: tuple[Segment, ...]) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        Timeline(showings)

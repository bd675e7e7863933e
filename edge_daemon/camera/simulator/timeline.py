"""What the drawn table shows and when: pure arithmetic on frame numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Segment:
    """One thing on the table, or nothing (`kind` None), for `frames` frames.

    `variation` chooses its pose, light and background; equal numbers look equal.
    """

    kind: str | None
    frames: int
    variation: int = 0


@dataclass(frozen=True, slots=True)
class TimelinePosition:
    """The showing that a frame belongs to; `first` is the showing's first frame."""

    showing: Segment
    first: int
    offset: int


@dataclass(frozen=True, slots=True)
class GroundTruthInterval:
    """One object's way over the table: frames `first` up to, not including, `end`."""

    kind: str
    first: int
    end: int


class Timeline:
    """Showings one after another, once or for ever.

    Every repetition shows the same kinds in new variations.
    """

    def __init__(self, showings: Sequence[Segment], repeat: bool = False) -> None:
        if not showings or min(showing.frames for showing in showings) < 1:
            raise ValueError("a timeline needs showings of at least one frame each")
        self._showings = tuple(showings)
        self._starts = (0, *accumulate(showing.frames for showing in showings))
        self.repeat = repeat

    @property
    def frames(self) -> int:
        """How many frames one run of the timeline has."""
        return self._starts[-1]

    def at(self, seq: int) -> TimelinePosition | None:
        """Return what frame `seq` belongs to; None before the start and after the end."""
        if seq < 0 or (seq >= self.frames and not self.repeat):
            return None
        cycle, within = divmod(seq, self.frames)
        index = bisect_right(self._starts, within) - 1
        showing = self._showings[index]
        varied = replace(showing, variation=showing.variation + cycle * len(self._showings))
        return TimelinePosition(
            varied, cycle * self.frames + self._starts[index], within - self._starts[index]
        )

    def moments(self, end: int) -> Iterator[TimelinePosition]:
        """Return the first moment of every showing that begins before frame `end`."""
        seq = 0
        while seq < end and (moment := self.at(seq)) is not None:
            yield moment
            seq += moment.showing.frames

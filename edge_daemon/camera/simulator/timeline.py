"""Timeline of the simulated scene: segments by frame number, pure arithmetic."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Segment:
    """One object on the table, or none (`kind` None), for `frames` frames.

    `variation` determines pose, light and background; equal numbers look equal.
    """

    kind: str | None
    frames: int
    variation: int = 0


@dataclass(frozen=True, slots=True)
class TimelinePosition:
    """Segment of a frame, its first frame, and the frame's offset in the segment."""

    segment: Segment
    first: int
    offset: int


@dataclass(frozen=True, slots=True)
class GroundTruthInterval:
    """Frames of one object on the table: from `first` up to, not including, `end`."""

    kind: str
    first: int
    end: int


class Timeline:
    """Consecutive segments, once or repeated without end.

    Every repetition has the same kinds in new variations.
    """

    def __init__(self, segments: Sequence[Segment], repeat: bool = False) -> None:
        if not segments or min(segment.frames for segment in segments) < 1:
            raise ValueError("a timeline needs segments of at least one frame each")
        self._segments = tuple(segments)
        self._starts = (0, *accumulate(segment.frames for segment in segments))
        self.repeat = repeat

    @property
    def frames(self) -> int:
        """Number of frames of one run."""
        return self._starts[-1]

    def at(self, seq: int) -> TimelinePosition | None:
        """Return the position of frame `seq`; None before the start and after the end."""
        if seq < 0 or (seq >= self.frames and not self.repeat):
            return None
        cycle, within = divmod(seq, self.frames)
        index = bisect_right(self._starts, within) - 1
        segment = self._segments[index]
        varied = replace(segment, variation=segment.variation + cycle * len(self._segments))
        return TimelinePosition(
            varied, cycle * self.frames + self._starts[index], within - self._starts[index]
        )

    def segment_starts(self, end: int) -> Iterator[TimelinePosition]:
        """Return the first position of every segment that begins before frame `end`."""
        seq = 0
        while seq < end and (position := self.at(seq)) is not None:
            yield position
            seq += position.segment.frames

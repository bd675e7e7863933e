"""The roll: which of a device's numbers live. Every other number up to its own is a tombstone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import msgspec

AHEAD_S = 10 * 365 * 86_400
"""Numbers follow the clock in seconds. Ten years ahead of our own clock may still be a wrong clock."""

_RELEASED_S = 1_767_225_600  # 2026-01-01: a device without a clock counts from here
_LEAP = 100_000
_GAPS = msgspec.msgpack.Decoder(list[int])


@dataclass(frozen=True, slots=True)
class LiveSet:
    """What a device said last of its examples.

    A device numbers its examples and rolls upwards, and uses no number twice. So what an earlier roll
    buried, a later one buries too: merging two rolls is taking the one with the higher number.
    """

    number: int
    living: frozenset[int]

    def buries(self, number: int) -> bool:
        """Whether that example was taken back, for ever."""
        return number <= self.number and number not in self.living


NOBODY = LiveSet(0, frozenset())
"""The roll of a device that was never heard."""


def is_far_ahead(number: int, known: int, now_s: float) -> bool:
    """Return whether no honest device can have reached `number`.

    `known` is the highest number accepted of that device before, `now_s` the Unix time here. Small steps
    above `known` always pass. So a device can number its examples above an absurd roll in its name, and no
    single message can push it to the end of the range.
    """
    return number > max(now_s, _RELEASED_S) + AHEAD_S and number > known + _LEAP


def is_lost(number: int, now_s: float) -> bool:
    """Return whether our own `number` comes from a clock so wrong that no peer accepted it."""
    return number > max(now_s, _RELEASED_S) + 2 * AHEAD_S


def later(one: LiveSet, other: LiveSet) -> LiveSet:
    """Merge: whatever the order and however often, the last word of the device stays."""
    return other if other.number > one.number else one


def gaps(numbers: Collection[int]) -> list[int]:
    """Return the sorted numbers as the steps between them, which are short to write."""
    ordered = [0, *sorted(numbers)]
    return [high - low for low, high in pairwise(ordered)]


def from_gaps(steps: Sequence[int]) -> frozenset[int]:
    """Undo `gaps`."""
    return frozenset(accumulate(steps))


def pack(living: Collection[int]) -> bytes:
    """Return living numbers as the store keeps them."""
    return msgspec.msgpack.encode(gaps(living))


def unpack(packed: bytes) -> frozenset[int]:
    """Undo `pack`."""
    return from_gaps(_GAPS.decode(packed))

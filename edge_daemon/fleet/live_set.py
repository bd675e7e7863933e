"""The live set of a device: the numbers of its live examples. All other numbers are tombstones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import msgspec

AHEAD_S = 10 * 365 * 86_400
"""Numbers follow the clock in seconds. One ten years ahead of our clock may be a clock fault."""

_RELEASED_S = 1_767_225_600  # 2026-01-01: a device without a clock counts from here
_LEAP = 100_000
"""Largest step above the highest known number that always passes."""

_DELTAS = msgspec.msgpack.Decoder(list[int])


@dataclass(frozen=True, slots=True)
class LiveSet:
    """The latest list of a device's live examples.

    A device numbers its examples and live sets upwards and uses no number twice. A number that one live set
    deletes is deleted in every later one, so two live sets merge to the one with the higher number.
    """

    number: int
    live: frozenset[int]

    def is_deleted(self, number: int) -> bool:
        """Return whether that example was deleted; a deletion is final."""
        return number <= self.number and number not in self.live


EMPTY = LiveSet(0, frozenset())
"""The live set of a device that has sent none."""


def is_far_ahead(number: int, known: int, now_s: float) -> bool:
    """Return whether no honest device can have reached `number`.

    `known` is the highest number accepted from that device before, `now_s` the Unix time here. Small steps
    above `known` always pass. So a device can number its examples above a forged live set in its name, and no
    single message can push it to the end of the range.
    """
    return number > max(now_s, _RELEASED_S) + AHEAD_S and number > known + _LEAP


def is_lost(number: int, now_s: float) -> bool:
    """Return whether our own `number` comes from a clock so wrong that no peer accepted it."""
    return number > max(now_s, _RELEASED_S) + 2 * AHEAD_S


def newer(one: LiveSet, other: LiveSet) -> LiveSet:
    """Merge two live sets of one device: commutative and idempotent."""
    return other if other.number > one.number else one


def delta_encode(numbers: Collection[int]) -> list[int]:
    """Return the differences between the sorted numbers, which are short to encode."""
    ordered = [0, *sorted(numbers)]
    return [high - low for low, high in pairwise(ordered)]


def delta_decode(deltas: Sequence[int]) -> frozenset[int]:
    """Return the numbers that `delta_encode` encoded."""
    return frozenset(accumulate(deltas))


def pack(live: Collection[int]) -> bytes:
    """Return live numbers as stored in the database."""
    return msgspec.msgpack.encode(delta_encode(live))


def unpack(packed: bytes) -> frozenset[int]:
    """Return the numbers that `pack` encoded."""
    return delta_decode(_DELTAS.decode(packed))

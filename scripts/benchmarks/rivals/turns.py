"""Taking turns: ours and its rivals, a few calls each, so that a machine that slows down slows all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeAlias

AT_ONCE = 4
OURS = "ours"

Timed: TypeAlias = Callable[[int], float]
"""Does what is compared, for the query or frame of that number; returns the milliseconds it took."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One rival beside ours; `ratio` is how many times as long the rival takes, the median of the turns."""

    task: str
    rival: str
    ours_ms: float
    rival_ms: float
    ratio: float


def take_turns(task: str, contenders: Mapping[str, Timed], rounds: int) -> Iterator[Comparison]:
    """Time all in turn, the best of a few calls each; a turn before the first warms up. One is OURS."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, work in contenders.items():
            spent = min(work(turn * AT_ONCE + each) for each in range(AT_ONCE))
            if turn:
                times[name].append(spent)
    ours = times.pop(OURS)
    for name, theirs in times.items():
        ratio = median(their / our for their, our in zip(theirs, ours, strict=True))
        yield Comparison(task, name, round(median(ours), 4), round(median(theirs), 4), round(ratio, 2))


def leave_out(name: str, gap: str) -> None:
    """Say what is not compared, and why."""
    print(f"left out: {name}: {gap}", file=sys.stderr)

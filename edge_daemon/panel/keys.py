"""What the keys of a terminal mean: pure, the caller brings the character and the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from edge_daemon.commands import AddExample, Clear, Origin, Undo
from edge_daemon.events import ConfirmPending
from edge_daemon.panel.options import PanelOptions


@dataclass(frozen=True, slots=True)
class NoMeaning:
    """A key that does nothing, and why."""

    reason: str


KeyMeaning: TypeAlias = AddExample | Undo | Clear | ConfirmPending | NoMeaning

MAX_LABELS = 9


class Keys:
    """1 to 9 teach the n-th label, u takes back one example, c then y clears everything.

    A terminal reports no release: a key that is held repeats, after a pause. Repeats teach at
    `burst_per_s` at most; a held u takes back one example, one more after that pause, and then
    rests. Another key than c confirms, since c repeated by itself would confirm too.
    """

    def __init__(self, labels: Sequence[str], options: PanelOptions) -> None:
        self._labels = labels[:MAX_LABELS]
        self._options = options
        self._rest_s = 1 / options.burst_per_s
        self._key = ""
        self._taken_s = self._seen_s = self._confirm_until_s = -math.inf

    @property
    def help(self) -> str:
        """The keys in one line."""
        teach = [f"{number} {label}" for number, label in enumerate(self._labels, 1)]
        return ", ".join([*teach, "u undo", "c clear", "q quit"])

    def press(self, key: str, now: float) -> KeyMeaning | None:
        """Take one character, pressed or repeated at `now` (monotonic seconds); None for a repeat to skip."""
        confirmed = key == "y" and now <= self._confirm_until_s
        self._confirm_until_s = -math.inf
        if self._is_repeat(key, now):
            return None
        self._taken_s = now
        origin = Origin("keyboard", key)
        if key == "u":
            return Undo(origin)
        if key == "c":
            self._confirm_until_s = now + self._options.confirm_s
            return ConfirmPending(self._options.confirm_s)
        if key == "y":
            return Clear(origin) if confirmed else NoMeaning("nothing waits to be confirmed; press c first")
        return self._teach(key, now, origin)

    def _teach(self, key: str, now: float, origin: Origin) -> AddExample | NoMeaning:
        index = "123456789".find(key)
        if 0 <= index < len(self._labels):
            return AddExample(self._labels[index], now, origin)
        return NoMeaning(f"key {key!r} does nothing; keys: {self.help}")

    def _is_repeat(self, key: str, now: float) -> bool:
        """Whether the key is held: it came again too soon after it was taken, or, for u and c, seen."""
        since_s = self._taken_s if key.isdigit() else self._seen_s
        held = key == self._key and now - since_s < self._rest_s
        self._key, self._seen_s = key, now
        return held

"""How long to wait before connecting again."""

from __future__ import annotations

from random import Random

_FIRST_S = 1.0
_SETTLED_S = 30.0
_QUICK = -2


class Backoff:
    """Doubles from 1 s to `max_s`, with up to half taken off at random so that devices spread out.

    A connection shorter than 30 s counts as a failed attempt: a broker that accepts and then throws
    us out, or a second device of the same id, is not asked again at full speed.
    """

    def __init__(self, max_s: float, random: Random) -> None:
        self._max_s = max_s
        self._random = random
        self._attempts = 0

    def reset(self) -> None:
        """Begin again with 0.25 s, as where the next attempt differs from the last."""
        self._attempts = _QUICK

    def next_s(self, connected_s: float) -> float:
        """Return the pause after an attempt that held for `connected_s` seconds, 0 if it failed."""
        if connected_s >= _SETTLED_S:
            self._attempts = 0
        longest = min(self._max_s, _FIRST_S * 2.0 ** min(self._attempts, 16))
        self._attempts += 1
        return longest * self._random.uniform(0.5, 1.0)

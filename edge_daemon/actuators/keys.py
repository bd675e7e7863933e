"""Which keys a label holds down: pure, the caller brings what it hears and the time."""

from __future__ import annotations

from collections.abc import Mapping


class HeldKeys:
    """The key of the present label is down while the device is known to be alive.

    Alive means online, and heard within `dead_man_s`: results come several times a second, and when
    they stop, whatever the reason, the key is released. A retained label alone presses nothing.
    """

    def __init__(self, keys: Mapping[str, str], dead_man_s: float = 1.5) -> None:
        self._keys = dict(keys)
        self._dead_man_s = dead_man_s
        self._label = ""
        self._heard_s: float | None = None

    def show(self, label: str) -> None:
        """Take the stable label; empty when there is none."""
        self._label = label

    def hear(self, now: float) -> None:
        """Take a sign of life."""
        self._heard_s = now

    def active(self, now: float) -> frozenset[str]:
        """Return the keys that are down at `now` (monotonic): one, or none."""
        alive = self._heard_s is not None and now - self._heard_s <= self._dead_man_s
        key = self._keys.get(self._label)
        return frozenset([key]) if alive and key is not None else frozenset()

    def next_change(self, now: float) -> float | None:
        """Return when the key would be released without a word; None when none is down."""
        return None if self._heard_s is None or not self.active(now) else self._heard_s + self._dead_man_s

    def abandon(self) -> None:
        """Release: the device or the broker is gone. Its next result is a new sign of life."""
        self._heard_s = None

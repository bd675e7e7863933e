"""Presses that wait for the frame they mean: the first captured after them."""

from __future__ import annotations

from edge_daemon.commands import AddExample
from edge_daemon.errors import RequestError

MAX_WAITING = 64
PRESS_LASTS_S = 5.0
"""A press without a frame for so long is answered with an error."""


class Presses:
    """At most 64 waiting presses with the region each means; pure."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, AddExample]] = []

    def wait(self, region: str, press: AddExample) -> None:
        """Let a press wait. Raises RequestError when too many do."""
        if len(self._waiting) >= MAX_WAITING:
            raise RequestError("too many presses are waiting for a frame")
        self._waiting.append((region, press))

    def take_due(self, region: str, captured_s: float) -> list[AddExample]:
        """Take those that a frame of this region answers: it was captured after they were made."""
        return self._take(
            [each for each in self._waiting if each[0] == region and each[1].pressed_s < captured_s]
        )

    def take_overdue(self, now: float) -> list[AddExample]:
        """Take those that have waited for too long."""
        return self._take([each for each in self._waiting if now - each[1].pressed_s > PRESS_LASTS_S])

    def _take(self, chosen: list[tuple[str, AddExample]]) -> list[AddExample]:
        self._waiting = [each for each in self._waiting if each not in chosen]
        return [press for _, press in chosen]

"""Conditions awaited with long timeouts: everything is slow in an emulated machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

TIMEOUT_S = 300.0

T = TypeVar("T")


def wait_until(condition: Callable[[], T], description: str, timeout_s: float = TIMEOUT_S) -> T:
    """Return the first true value of `condition`. Raises AssertionError with `description` on a timeout."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {timeout_s:.0f} s: {description}; last value: {value!r}")
        time.sleep(0.2)
    return value


def assert_stays(condition: Callable[[], bool], description: str, for_s: float) -> None:
    """Check that `condition` is true for `for_s` seconds."""
    deadline_s = time.monotonic() + for_s
    while time.monotonic() < deadline_s:
        assert condition(), f"no longer: {description}"
        time.sleep(0.2)

"""Wait for something to become true: everything is slow in an emulated machine."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 300.0

Seen = TypeVar("Seen")


def eventually(look: Callable[[], Seen], what: str, within_s: float = PATIENCE_S) -> Seen:
    """Return what `look` returns, once that is true. Raises AssertionError naming `what` it waited for."""
    until_s = time.monotonic() + within_s
    while not (seen := look()):
        if time.monotonic() > until_s:
            raise AssertionError(f"not within {within_s:.0f} s: {what}; last seen: {seen!r}")
        time.sleep(0.2)
    return seen


def steadily(look: Callable[[], bool], what: str, for_s: float) -> None:
    """Check that `look` stays true for so long."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        assert look(), f"no longer: {what}"
        time.sleep(0.2)


def told(*command: str) -> str:
    """Run a command and return what it says. Raises CalledProcessError with its complaint."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout.strip()

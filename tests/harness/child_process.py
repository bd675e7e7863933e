"""Runs a check in a forked process."""

from __future__ import annotations

import os
from collections.abc import Callable


def in_child(check: Callable[[], None]) -> None:
    """Run `check` in a forked process, so that limits and identities end with it."""
    child = os.fork()
    if child == 0:
        try:
            check()
        except BaseException as exc:
            os.write(2, f"{type(exc).__name__}: {exc}\n".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

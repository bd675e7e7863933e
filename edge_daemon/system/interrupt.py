"""The signals that end a command.

SIGINT (Ctrl-C) while the program's modules are imported would be a traceback of the import. SIGTERM and
SIGHUP would leave the temporary files and child processes of a command behind.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = 130
"""Exit status of a shell's program that SIGINT ended."""


def end_at_interrupt() -> None:
    """End the process at once at SIGINT, unless the signal is ignored; for the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_at_interrupt() -> None:
    """Undo `end_at_interrupt`: SIGINT raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def unwound_at_termination() -> Iterator[None]:
    """End the block with SystemExit at SIGTERM and SIGHUP, unless they are ignored; for the main thread.

    The exit status is that of a program that the signal ended, as a shell shows it. A second signal changes
    nothing: `timeout` sends two.
    """
    numbers = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]

    def unwind(number: int, frame: FrameType | None) -> None:
        for each in numbers:
            if signal.getsignal(each) is unwind:
                signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in numbers:
        signal.signal(each, unwind)
    try:
        yield
    finally:
        for each in numbers:
            if signal.getsignal(each) in (unwind, signal.SIG_IGN):
                signal.signal(each, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(STATUS)

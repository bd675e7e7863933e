"""Ctrl-C while the program's modules are imported: an interrupt there would be a traceback of the import."""

from __future__ import annotations

import os
import signal
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


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(STATUS)

"""Numbers of command-line options, as types of argparse; a wrong one gives one line that names it."""

from __future__ import annotations

import argparse
import math


def read_seconds(text: str, longest: float = math.inf) -> float:
    """Read a time above 0 of at most `longest` seconds. Raises ArgumentTypeError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= longest or math.isinf(seconds):
        most = "" if math.isinf(longest) else f" and at most {longest:g}"
        raise argparse.ArgumentTypeError(f"'{text}' is no time in seconds above 0{most}")
    return seconds


def read_count(text: str) -> int:
    """Read a number of at least 1. Raises ArgumentTypeError."""
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number of at least 1")
    return count

"""Numbers and paths of command-line options, as types of argparse; one line names a wrong one."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from edge_daemon.domain.errors import LabelError


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


def read_path(text: str) -> Path:
    """Read the path of a file or folder.

    Raises ArgumentTypeError for an empty one, as of an unset variable, which would be the working folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is missing; is the variable set?")
    return Path(text)


def read_model(text: str) -> str:
    """Read the name, path or address of a model. Raises ArgumentTypeError for an empty one."""
    if not text:
        raise argparse.ArgumentTypeError("the model is missing; is the variable set?")
    return text


def read_rename(text: str) -> tuple[str, str]:
    """Read OLD=NEW, two labels. Raises ArgumentTypeError."""
    from edge_daemon.domain.labels import check_label  # late: --help reads no labels

    old, equals, new = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"'{text}': expected OLD=NEW, such as 'C#=C sharp'")
    try:
        return old, check_label(new)
    except LabelError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc

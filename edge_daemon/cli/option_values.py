"""Numbers and paths of command-line options, as types of argparse; one line names a wrong one."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from edge_daemon.domain.errors import ArchiveError


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
    """Read the path of a file. Raises ArgumentTypeError for an empty one, which would be the folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path of a file is missing")
    return Path(text)


def read_renames(options: Sequence[str]) -> dict[str, str]:
    """Return the new labels of `--rename OLD=NEW` by the old ones. Raises ArchiveError, LabelError."""
    from edge_daemon.domain.labels import check_label  # late: --help reads no labels

    pairs = [option.partition("=") for option in options]
    if wrong := [option for option, (_, equals, _) in zip(options, pairs, strict=True) if not equals]:
        raise ArchiveError(f"--rename {wrong[0]}: expected OLD=NEW, such as 'C#=C sharp'")
    return {old: check_label(new) for old, _, new in pairs}

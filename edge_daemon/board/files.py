"""Reading the one-line files of /proc, /sys and /run."""

from __future__ import annotations

from pathlib import Path


def read_line(path: Path) -> str | None:
    """Return the stripped text of a file; None where it is missing, closed to this user, or not text."""
    try:
        return path.read_text(errors="replace").strip().rstrip("\0")
    except OSError:
        return None

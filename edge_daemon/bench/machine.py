"""Which program and which machine the figures are of."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from edge_daemon import __version__

_BOARD = Path("/proc/device-tree/model")
_PROCESSORS = Path("/proc/cpuinfo")


def commit() -> str:
    """Return the source's commit, `+` behind it when files were changed since; else the version."""
    words = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        told = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return told.stdout.strip()


def machine() -> str:
    """Return the board's name, or the processor's, and how many cores may be used."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = _board() or _processor() or platform.processor() or "unknown"
    return f"{name}, {platform.machine()}, {cores} cores"


def _board() -> str:
    try:
        return _BOARD.read_text().strip("\0 \n")
    except OSError:
        return ""


def _processor() -> str:
    try:
        lines = _PROCESSORS.read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")

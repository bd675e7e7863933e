"""When this boot and this process began, on the clock that systemd's `…Monotonic` timestamps use."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge_daemon.board.files import read_line

_START_TIME = 22
"""Field of /proc/PID/stat (proc_pid_stat(5)): the process's start in clock ticks after the boot."""


def process_start_s(root: Path = Path("/"), ticks_per_s: int = os.sysconf("SC_CLK_TCK")) -> float | None:
    """Return when this process was started, in seconds after the kernel's start."""
    # The name of the program, field 2, may hold spaces and brackets.
    fields = (read_line(root / "proc/self/stat") or "").rpartition(")")[2].split()
    index = _START_TIME - 3
    if len(fields) <= index or not fields[index].isdigit():
        return None
    return int(fields[index]) / ticks_per_s - suspended_s()


def suspended_s() -> float:
    """Return how long the machine slept since the boot: the start counts that time, the timestamps don't."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

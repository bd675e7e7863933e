"""Start times of this boot and this process, on the clock of systemd's `…Monotonic` timestamps."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge_daemon.board.digits import read_digits
from edge_daemon.board.files import read_line

_START_TIME = 22
"""Field of /proc/PID/stat (proc_pid_stat(5)): the process's start in clock ticks after the boot."""


def process_start_s(root: Path = Path("/"), ticks_per_s: int = os.sysconf("SC_CLK_TCK")) -> float | None:
    """Return the start of this process in seconds after the kernel's start; None if it can't be read."""
    # Field 2, the name of the program, may hold spaces and brackets.
    fields = (read_line(root / "proc/self/stat") or "").rpartition(")")[2].split()
    index = _START_TIME - 3
    ticks = read_digits(fields[index]) if index < len(fields) else None
    return None if ticks is None else ticks / ticks_per_s - suspended_s()


def suspended_s() -> float:
    """Return the time in suspend since the boot, in seconds; the timestamps do not count it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()

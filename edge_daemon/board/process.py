"""The running daemon: its process id, peak memory and writes."""

from __future__ import annotations

import re
from pathlib import Path

from edge_daemon.board.files import read_line


def daemon_process(store: Path, root: Path = Path("/")) -> int | None:
    """Return the id of the daemon that holds a store's `.lock` file; None if that process has ended."""
    number = read_line(store.with_name(f"{store.name}.lock")) or ""
    if not number.isdigit():
        return None
    command = read_line(root / "proc" / number / "cmdline") or ""
    return int(number) if re.search(r"edge[-_]daemon", command) else None


def process_writes(process: int, root: Path = Path("/")) -> int | None:
    """Return the bytes written by a process (proc_pid_io(5)); None without permission."""
    return _number(root / "proc" / str(process) / "io", r"^write_bytes: (\d+)$")


def peak_memory(process: int, root: Path = Path("/")) -> int | None:
    """Return the peak resident memory of a process in bytes, without camera buffers."""
    peak_kib = _number(root / "proc" / str(process) / "status", r"^VmHWM:\s+(\d+) kB$")
    return None if peak_kib is None else peak_kib * 1024


def _number(path: Path, pattern: str) -> int | None:
    found = re.search(pattern, read_line(path) or "", re.MULTILINE)
    return int(found[1]) if found else None

"""The daemon that runs on this machine: its number, peak memory and writes."""

from __future__ import annotations

import re
from pathlib import Path

from edge_daemon.board.files import read_line


def daemon_process(store: Path, root: Path = Path("/")) -> int | None:
    """Return the process that has claimed a store in its `.lock` file; None where it has ended."""
    number = read_line(store.with_name(f"{store.name}.lock")) or ""
    if not number.isdigit():
        return None
    command = read_line(root / "proc" / number / "cmdline") or ""
    return int(number) if re.search(r"edge[-_]daemon", command) else None


def process_writes(process: int, root: Path = Path("/")) -> int | None:
    """Return the bytes that a process caused to be written (proc_pid_io(5)); None if that is closed."""
    return _number(root / "proc" / str(process) / "io", r"^write_bytes: (\d+)$")


def peak_memory(process: int, root: Path = Path("/")) -> int | None:
    """Return the most resident memory a process has had, in bytes; camera buffers are no part of it."""
    peak_kib = _number(root / "proc" / str(process) / "status", r"^VmHWM:\s+(\d+) kB$")
    return None if peak_kib is None else peak_kib * 1024


def _number(path: Path, pattern: str) -> int | None:
    found = re.search(pattern, read_line(path) or "", re.MULTILINE)
    return int(found[1]) if found else None

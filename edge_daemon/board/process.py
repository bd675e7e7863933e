"""The running daemon: its process id, peak memory and writes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Set
from pathlib import Path

from edge_daemon.board.digits import read_digits
from edge_daemon.board.files import read_line


def daemon_process(store: Path, root: Path = Path("/")) -> int | None:
    """Return the id of the daemon that holds a store's `.lock` file; None if that process has ended."""
    number = read_digits(read_line(store.with_name(f"{store.name}.lock")) or "")
    if number is None:
        return None
    command = read_line(root / f"proc/{number}/cmdline") or ""
    return number if re.search(r"edge[-_]daemon", command) else None


def processes_with_files(paths: Set[str], root: Path = Path("/")) -> list[tuple[int, str]]:
    """Return (id, name) of the processes that have one of these open and that this user may see."""
    folders = sorted((root / "proc").glob("[0-9]*"), key=lambda each: int(each.name))
    return [
        (int(each.name), read_line(each / "comm") or "")
        for each in folders
        if paths & set(_open_files(each / "fd"))
    ]


def _open_files(folder: Path) -> Iterable[str]:
    """Yield the targets of a process's open files; nothing for an ended process or one of another user."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        try:
            yield os.readlink(folder / name)
        except OSError:
            continue


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

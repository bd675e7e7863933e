"""The board's name, its cores and its memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.board.files import read_line
from edge_daemon.board.memory import memory_info

_DEVICE_TREE = "proc/device-tree/model"


@dataclass(frozen=True, slots=True)
class Board:
    """A machine: its name (empty without a device tree), usable cores, bytes of memory (0 if unknown)."""

    name: str
    cores: int
    memory_bytes: int

    def __str__(self) -> str:
        memory = f", {self.memory_bytes / 1e9:.1f} GB" if self.memory_bytes else ""
        return f"{self.name or 'this machine'}: {self.cores} core{'s' * (self.cores > 1)}{memory}"


def read_board(root: Path = Path("/"), cores: int | None = None) -> Board:
    """Read the board of the system under `root`; `cores` replaces the number of this process's cores."""
    usable = cores or len(os.sched_getaffinity(0))
    return Board(read_line(root / _DEVICE_TREE) or "", usable, memory_info(root).get("MemTotal", 0))

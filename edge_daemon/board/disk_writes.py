"""Bytes written to a disk since the boot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_daemon.board.files import read_line
from edge_daemon.board.mounts import mount_of

DAY_S = 86_400.0

_SECTOR = 512
"""Bytes: the unit of /sys/block/*/stat for every disk (the kernel's Documentation/block/stat.rst)."""
_SECTORS_WRITTEN = 6
"""Index of the field in the same file."""


@dataclass(frozen=True, slots=True)
class DiskWrites:
    """Bytes written to the disk `name` in the `seconds` since the boot."""

    name: str
    written: int
    seconds: float

    @property
    def per_day(self) -> float:
        """Bytes per day; on the first day all bytes so far, since a boot writes more than an hour of work."""
        return self.written * DAY_S / max(self.seconds, DAY_S)


def disk_writes(path: Path, root: Path = Path("/")) -> DiskWrites | None:
    """Return the writes to the whole disk of `path`; None if that is not a block device."""
    mount = mount_of(path, root)
    uptime = (read_line(root / "proc/uptime") or "").split()
    if mount is None or not uptime:
        return None
    folder = (root / "sys/dev/block" / mount.device).resolve()
    # The device number of btrfs is not that of a disk.
    if not folder.exists() and mount.source.startswith("/dev/"):
        folder = (root / "sys/class/block" / Path(mount.source).name).resolve()
    if (folder / "partition").exists():
        folder = folder.parent
    fields = (read_line(folder / "stat") or "").split()
    if len(fields) <= _SECTORS_WRITTEN:
        return None
    return DiskWrites(folder.name, int(fields[_SECTORS_WRITTEN]) * _SECTOR, float(uptime[0]))

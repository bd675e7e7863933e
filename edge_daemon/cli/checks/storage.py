"""The doctor's checks of the store's disk: files survive a reboot, and the rate of writes."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.app.model_factory import store_path
from edge_daemon.board.disk_writes import DAY_S, DiskWrites, disk_writes
from edge_daemon.board.mounts import mount_fault, mount_of
from edge_daemon.board.process import daemon_process, process_writes
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config

MAX_PER_DAY = 10_000_000_000
"""Bytes: a card of 32 GB whose cells endure 500 writes lasts at most four years at this rate."""


def check_mount(config: Config, root: Path = Path("/")) -> Check:
    """Check that files beside the store survive a reboot."""
    path = store_path(config)
    if fault := mount_fault(path, root):
        return Check("mount", "failed", fault.reason, fault.remedy)
    mount = mount_of(path.parent, root)
    if mount is None:
        return Check("mount", "ok", "this system lists no mounts")
    return Check("mount", "ok", f"{path.parent} is on {mount.source} ({mount.kind} at {mount.point})")


def check_writes(config: Config, root: Path = Path("/")) -> Check:
    """Check the bytes written to the store's disk by all programs; report those of the running service."""
    path = store_path(config)
    writes = disk_writes(path.parent, root)
    if writes is None:
        return Check("writes", "ok", f"the system counts no writes for {path.parent}")
    detail = _counted(writes)
    process = daemon_process(path, root)
    if process is not None and (own := process_writes(process, root)) is not None:
        detail += f"; by the service since its start: {_size(own)}"
    if not writes.name.startswith("mmcblk") or writes.per_day <= MAX_PER_DAY:
        return Check("writes", "ok", detail)
    hint = "a card wears out in a few years at this rate: `sudo iotop -ao` names the program that writes"
    return Check("writes", "warning", detail, hint)


def _counted(writes: DiskWrites) -> str:
    if writes.seconds < DAY_S:
        return f"{writes.name}: {_size(writes.written)} in the {writes.seconds / 3600:.1f} h since the boot"
    days = f"{writes.seconds / DAY_S:.1f} days"
    return f"{writes.name}: {_size(writes.per_day)} a day ({_size(writes.written)} in {days})"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"

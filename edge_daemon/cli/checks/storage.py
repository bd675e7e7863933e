"""The doctor's checks of the store and its disk: contents, space, files survive a reboot, rate of writes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge_daemon.app.model_factory import build_resolved_embedder, store_path
from edge_daemon.board.disk_writes import DAY_S, DiskWrites, disk_writes
from edge_daemon.board.mounts import mount_fault, mount_of
from edge_daemon.board.process import daemon_process, process_writes
from edge_daemon.cli.checks.check import Check
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ModelError
from edge_daemon.example_store.integrity import summarise
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.file_owner import user_name

STORE_HINT = "see store.path in the configuration; stop the service before repairing a store"

MIN_FREE_MB = 200

MAX_PER_DAY = 10_000_000_000
"""Bytes: a card of 32 GB whose cells endure 500 writes lasts at most four years at this rate."""


def check_store(config: Config) -> Check:
    """Open the store, check that it can be written, and compare its embedding spaces with the model's.

    A missing store is not made: the service could not write a store of root.
    """
    path = store_path(config)
    if not os.path.exists(path):
        return _check_store_path(path)
    with ExampleStore(path) as store, store.transaction():  # takes the lock of a writer
        counts, spaces, damaged = store.counts, store.spaces(), store.damaged
    if damaged:
        return Check("store", "warning", f"{path}: left out: {summarise(damaged.values())}", STORE_HINT)
    detail = f"{path}: {counted(sum(counts.values()), 'example')} of {counted(len(counts), 'label')}"
    foreign = sum(spaces.values()) - spaces.get(_space(config), 0)
    if foreign:
        hint = "`edge-daemon examples reembed` embeds them again from their pictures"
        return Check("store", "warning", f"{detail}, {foreign} of another model", hint)
    return Check("store", "ok", detail)


def _check_store_path(path: Path) -> Check:
    folder = _nearest_folder(path)
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("store", "failed", f"{user_name()} may not write {folder}", STORE_HINT)
    return Check("store", "ok", f"{path}: nothing taught yet")


def _nearest_folder(path: Path) -> Path:
    """Return the nearest existing folder above `path` that this user can see."""
    return next(folder for folder in path.absolute().parents if os.path.isdir(folder))


def _space(config: Config) -> str:
    """Return the model's embedding space; empty for a model that `check_model` reports."""
    try:
        return build_resolved_embedder(config).space
    except ModelError:
        return ""


def check_disk(config: Config) -> Check:
    """Check the free space on the store's disk."""
    folder = _nearest_folder(store_path(config))
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < MIN_FREE_MB:
        return Check(
            "disk", "failed", f"{free_mb} MB free at {folder}", "delete files: new examples may not fit"
        )
    return Check("disk", "ok", f"{free_mb} MB free at {folder}")


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

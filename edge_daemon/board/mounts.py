"""The file system of a path, and faults by which files there are lost or refused."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.board.files import read_line

_IN_MEMORY = ("tmpfs", "ramfs", "rootfs", "devtmpfs")
_RAM_DISKS = ("/dev/zram", "/dev/ram")
_ESCAPE = re.compile(r"\\([0-7]{3})")

_OFF_RAM = "put store.path on a disk; docs/storage.md shows a second partition"
_OFF_OVERLAY = (
    "switch the overlay off (`sudo raspi-config`, Performance Options, Overlay File System), or put "
    "store.path on a second partition: docs/storage.md"
)
_REMOUNT = "see `dmesg` for faults of the card; `sudo mount -o remount,rw {point}` makes it writable again"
_ALLOW = "let the service write there with ReadWritePaths=: docs/storage.md"


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).

    `device` is the number of the file system's block device, `major:minor`. `inner` is the mounted folder
    inside the file system. `options` belong to this mount, and a service may have its own; `fs_options`
    belong to the file system.
    """

    point: str
    kind: str
    source: str = ""
    device: str = "0:0"
    inner: str = "/"
    options: tuple[str, ...] = ()
    fs_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MountFault:
    """The reason why files in a folder are lost or refused, and the remedy."""

    reason: str
    remedy: str


def mount_of(path: Path, root: Path = Path("/")) -> Mount | None:
    """Return the mount of `path`, which need not exist yet; None if the kernel lists none."""
    return _longest(read_mounts(root), _resolved(path, root))


def mount_fault(path: Path, root: Path = Path("/")) -> MountFault | None:
    """Return the fault that loses or refuses files in the folder of `path`; None without one."""
    folder, mounts = _resolved(path.absolute().parent, root), read_mounts(root)
    mount = _longest(mounts, folder)
    if mount is None:
        return None
    where = f"{mount.kind} at {mount.point}"
    if _is_in_memory(mount, mounts, root):
        remedy = _OFF_OVERLAY if mount.kind == "overlay" else _OFF_RAM
        return MountFault(f"nothing in {folder} survives a reboot: it is in memory ({where})", remedy)
    # PrivateTmp= of systemd.exec(5): "deleted when the service is stopped".
    if "/systemd-private-" in mount.inner:
        return MountFault(f"nothing in {folder} survives the service's end: it is its private /tmp", _OFF_RAM)
    if "ro" in mount.fs_options or (mount.kind == "overlay" and _upper(mount) is None):
        reason = f"nothing in {folder} can be kept: it is read-only ({where})"
        return MountFault(reason, _REMOUNT.format(point=mount.point))
    if "ro" in mount.options:
        return MountFault(f"nothing in {folder} can be kept: it is read-only for this service", _ALLOW)
    return None


def read_mounts(root: Path = Path("/")) -> list[Mount]:
    """Return the mounts of this process's namespace, in the order of mounting."""
    lines = (read_line(root / "proc/self/mountinfo") or "").splitlines()
    return [mount for line in lines if (mount := _parsed(line)) is not None]


def _parsed(line: str) -> Mount | None:
    own, _, of_file_system = line.partition(" - ")
    fields, others = own.split(" "), of_file_system.split(" ")
    if len(fields) < 6 or len(others) < 3:
        return None
    inner, point, options = fields[3:6]
    kind, source, fs_options = others[:3]
    return Mount(
        _unescaped(point),
        kind,
        _unescaped(source),
        fields[2],
        _unescaped(inner),
        tuple(options.split(",")),
        tuple(_unescaped(option) for option in fs_options.split(",")),
    )


def _unescaped(text: str) -> str:
    """Decode the octal escapes of blanks and backslashes in a field."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)


def _resolved(path: Path, root: Path) -> str:
    """Return the path under `root` with symbolic links resolved."""
    absolute = path.absolute()
    top = os.path.realpath(root)
    real = os.path.realpath(os.path.join(top, str(absolute).lstrip("/")))
    return os.path.normpath(f"/{os.path.relpath(real, top)}")


def _longest(mounts: Sequence[Mount], path: str) -> Mount | None:
    """Return the mount of `path`; of several mounts at one point the last one, which hides the others."""
    above = [mount for mount in mounts if f"{path}/".startswith(f"{mount.point.rstrip('/')}/")]
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def _is_in_memory(mount: Mount, mounts: Sequence[Mount], root: Path) -> bool:
    if mount.kind != "overlay":
        return mount.kind in _IN_MEMORY or mount.source.startswith(_RAM_DISKS)
    upper = _upper(mount)
    if upper is None:
        return False
    holder = _longest(mounts, upper)
    if holder is None or holder == mount:  # a folder of the initramfs, or of a container's host
        return _boots_into_memory(root)
    return _is_in_memory(holder, [other for other in mounts if other != mount], root)


def _upper(mount: Mount) -> str | None:
    """Return the upper folder of an overlay; None for a read-only overlay."""
    return next((option[9:] for option in mount.fs_options if option.startswith("upperdir=")), None)


def _boots_into_memory(root: Path) -> bool:
    """Return whether the kernel's command line keeps changes of the root file system in memory.

    raspi-config sets `boot=overlay` up to Bullseye and `overlayroot=tmpfs` since (its `enable_overlayfs`);
    kernel-command-line(7) describes `systemd.volatile=`.
    """
    words = (read_line(root / "proc/cmdline") or "").split()
    settings = dict(word.partition("=")[::2] for word in words)
    return (
        settings.get("boot") == "overlay"
        or settings.get("overlayroot", "").startswith("tmpfs")
        or settings.get("systemd.volatile", "no") not in ("no", "false", "0")
    )

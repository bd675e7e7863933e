"""Files of /proc and /sys laid out as a board's kernel has them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.board.layout import write

CARD = "179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw"
OVERLAY_ON_CARD = (
    "0:22 / /media/root-ro ro,relatime shared:2 - ext4 /dev/mmcblk0p2 ro",
    "0:23 / /media/root-rw rw,relatime shared:3 - tmpfs tmpfs-root rw",
    "0:24 / / rw,relatime shared:1 - overlay overlayroot "
    "rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/overlay-workdir/_",
)


def lay_mounts(root: Path, *mounts: str, cmdline: str = "console=tty1 rootwait") -> None:
    """Write mounts, each as `major:minor root point options... - type source options`."""
    lines = [f"{number} 1 {mount}" for number, mount in enumerate(mounts, 22)]
    write(root, "proc/self/mountinfo.new", "\n".join(lines) + "\n")
    os.replace(root / "proc/self/mountinfo.new", root / "proc/self/mountinfo")  # a reader sees all or nothing
    write(root, "proc/cmdline", f"{cmdline}\n")


def lay_card(root: Path, sectors: int, uptime_s: float) -> None:
    """Write the files of a card with two partitions and a count of written sectors."""
    stat = f"  4210 1402 311204 5120 901 640 {sectors} 80104 0 9000 85224 0 0 0 0 0 0\n"
    write(root, "sys/devices/platform/mmc/block/mmcblk0/stat", stat)
    write(root, "sys/devices/platform/mmc/block/mmcblk0/mmcblk0p2/stat", stat.replace(str(sectors), "16"))
    write(root, "sys/devices/platform/mmc/block/mmcblk0/mmcblk0p2/partition", "2\n")
    link = root / "sys/dev/block/179:2"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("../../devices/platform/mmc/block/mmcblk0/mmcblk0p2")
    write(root, "proc/uptime", f"{uptime_s:.2f} 9.00\n")


def lay_daemon(root: Path, store: Path, process: int = 812) -> None:
    """Write the files of a daemon that holds a store's lock."""
    store.parent.mkdir(parents=True, exist_ok=True)
    store.with_name(f"{store.name}.lock").write_text(f"{process}\n")
    write(root, f"proc/{process}/cmdline", "/opt/edge-daemon/venv/bin/python\0edge-daemon\0run\0")
    write(
        root, f"proc/{process}/io", "rchar: 9\nwchar: 70000\nwrite_bytes: 4096000\ncancelled_write_bytes: 0\n"
    )
    write(root, f"proc/{process}/status", "Name:\tedge-daemon\nVmPeak:\t  900000 kB\nVmHWM:\t  102400 kB\n")


def lay_memory(root: Path, *, controllers: str | None = "cpuset cpu io memory pids") -> None:
    """Write the files of a board with 512 MB, less the firmware's part, and its control groups."""
    sizes = {"MemTotal": 437_248, "MemAvailable": 280_000, "CmaTotal": 65_536, "CmaFree": 50_000}
    write(root, "proc/meminfo", "".join(f"{name + ':':<16}{kib:>8} kB\n" for name, kib in sizes.items()))
    if controllers is not None:
        write(root, "sys/fs/cgroup/cgroup.controllers", f"{controllers}\n")

"""Memory of the machine, and the state of memory limits."""

from __future__ import annotations

import re
from pathlib import Path

from edge_daemon.board.files import read_line

_CGROUPS = "sys/fs/cgroup"
_CMDLINES = ("boot/firmware/cmdline.txt", "boot/cmdline.txt")


def memory_limits_apply(root: Path = Path("/")) -> bool | None:
    """Return whether the kernel's memory cgroup is on; without it MemoryMax= has no effect.

    The Raspberry Pi's kernel has it off by default to save memory (github.com/raspberrypi/linux/issues/6980).
    `/proc/cgroups` does not list it in newer kernels even when it is on, as that is a file of cgroup v1.
    None if no cgroups are mounted.
    """
    folder = root / _CGROUPS
    controllers = read_line(folder / "cgroup.controllers")
    if controllers is not None:
        return "memory" in controllers.split()
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    return (folder / "memory").is_dir()


def is_service(root: Path = Path("/")) -> bool:
    """Return whether this process is a system service, whose unit may set limits."""
    return "/system.slice/" in (read_line(root / "proc/self/cgroup") or "")


def limits_remedy(root: Path = Path("/")) -> str:
    """Return the instruction to enable the memory cgroup. The last option wins (issue 6980)."""
    file = next((f"/{path}" for path in _CMDLINES if (root / path).exists()), None)
    where = "the kernel's command line" if file is None else f"the one line of {file}"
    return f"add ` cgroup_enable=memory` at the end of {where} and reboot"


def memory_info(root: Path = Path("/")) -> dict[str, int]:
    """Return the bytes of /proc/meminfo by name: MemTotal, MemAvailable, CmaTotal, CmaFree and others."""
    text = read_line(root / "proc/meminfo") or ""
    return {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}

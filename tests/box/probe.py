"""Probe of the sandbox, run as the unit's ExecStart. Prints the capabilities of the process as JSON."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

# x86-64 syscall numbers with the first argument. A filtered call ends the process, so each runs in a child.
NEW_USER = 0x10000000
SYSCALLS = {
    "mount": (165, 0), "umount2": (166, 0), "reboot": (169, 0), "init_module": (175, 0), "ptrace": (101, 0),
    "clock_settime": (227, 0), "unshare": (272, NEW_USER), "bpf": (321, 0), "perf_event_open": (298, 0),
    "setuid": (105, 0), "chroot": (161, 0), "keyctl": (250, 0),
}  # fmt: skip


def devices() -> list[str]:
    """Return every device node that can be opened for reading or writing."""
    nodes = [path for path in glob.glob("/dev/**", recursive=True) if _is_device(path)]
    return sorted(path for path in nodes if _opens(path, os.O_RDONLY) or _opens(path, os.O_WRONLY))


def _is_device(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


def writable() -> list[str]:
    """Return the folders in which a file can be created."""
    system = "/ /etc /usr /home /root /boot /var/lib /var/log /srv /run /sys/kernel /proc/sys/kernel"
    ours = "/etc/edge_daemon /opt/edge-daemon /var/lib/edge_daemon /var/cache/edge_daemon /run/edge_daemon"
    tried = f"{system} {ours} /tmp /var/tmp /dev/shm".split()
    return [folder for folder in tried if _can_make_a_file(Path(folder))]


def _can_make_a_file(folder: Path) -> bool:
    path = folder / "probe"
    try:
        path.touch()
        path.unlink()
    except OSError:
        return False
    return True


def status() -> dict[str, str]:
    """Return the capabilities, NoNewPrivs and Seccomp of this process from /proc."""
    lines = (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: text.strip() for name, _, text in lines if name.startswith(("Cap", "NoNewPrivs", "Seccomp"))
    }


def survives(act: Callable[[], object]) -> bool:
    """Return whether a child can do this without an error or a signal."""
    child = os.fork()
    if child == 0:
        try:
            act()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _call(number: int, argument: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, argument, 0, 0, 0, 0) < 0 and ctypes.get_errno() in (1, 38):
        raise PermissionError


def main() -> None:
    """Print the findings."""
    found = {
        "devices": devices(),
        "writable": writable(),
        "readable": [path for path in sys.argv[1:] if _opens(path, os.O_RDONLY)],
        "syscalls": [name for name, call in SYSCALLS.items() if survives(lambda: _call(*call))],  # noqa: B023
        "raw_sockets": survives(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "processes": sorted(
            int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()
        ),
        "status": status(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

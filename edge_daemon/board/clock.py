"""State of the wall clock, and the time since the boot: most Raspberry Pis have no battery-backed clock."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_daemon.board.files import read_line

_TIMESYNC = "run/systemd/timesync"
_MAX_ERROR_US = 16_000_000

BUILT_AFTER = datetime(2026, 1, 1, tzinfo=UTC)
"""An earlier time means a clock that was never set."""


class _Timex(ctypes.Structure):
    """The head of the kernel's struct timex (adjtimex(2)), with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


def kernel_synced() -> bool | None:
    """Return whether the kernel's clock is synchronised, as `timedatectl` does; None if the call is denied.

    systemd counts a maximum error below 16 s as synchronised (`ntp_synced` in its src/basic/time-util.c).
    `ProtectClock=` in the unit denies the call, although it changes nothing.
    """
    timex = _Timex()  # modes 0: read only
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    if adjtimex(ctypes.byref(timex)) < 0:
        return None
    return int(timex.maxerror) < _MAX_ERROR_US


def clock_synced(root: Path = Path("/"), kernel: Callable[[], bool | None] = kernel_synced) -> bool | None:
    """Return whether the clock was synchronised since the boot; None if that is unknown.

    systemd-timesyncd makes `synchronized` in its runtime directory at the first synchronisation of a boot
    (systemd-time-wait-sync.service(8) waits for that file). Without timesyncd, as with chrony, the
    kernel's state is used.
    """
    timesync = root / _TIMESYNC
    return (timesync / "synchronized").exists() if timesync.is_dir() else kernel()


def is_trusted(synced: bool | None, shown: datetime) -> bool:
    """Return whether the time `shown` can be trusted; `synced` None stands for an unknown state."""
    return bool(synced) if synced is not None else shown >= BUILT_AFTER


@dataclass(frozen=True, slots=True)
class BootTime:
    """A time that is independent of the wall clock: the boot's id and the seconds since the boot.

    `synced` is the state of the wall clock, as `clock_synced` returns it.
    """

    id: str = ""
    seconds: float = 0.0
    synced: bool | None = None


def boot_time(root: Path = Path("/")) -> BootTime:
    """Return the current time since the boot."""
    return BootTime(boot_id(root), time.clock_gettime(time.CLOCK_BOOTTIME), clock_synced(root))


def boot_id(root: Path = Path("/")) -> str:
    """Return the random id of this boot (proc_sys_kernel(5)); empty without one."""
    return read_line(root / "proc/sys/kernel/random/boot_id") or ""

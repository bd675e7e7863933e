"""What the machine reports of itself: memory, temperature, supply, clock, network. None where it doesn't."""

from __future__ import annotations

import os
from pathlib import Path

from edge_daemon.board.clock import clock_synced
from edge_daemon.board.network import interfaces, link_fault, power_saving
from edge_daemon.board.power import Power, read_power


class Machine:
    """Reads /proc and /sys under `root`; every call reads anew and none blocks."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def memory_bytes(self) -> int | None:
        """Return the resident memory of this process."""
        text = self._read("proc/self/statm")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") if text else None

    def temperature(self) -> float | None:
        """Return the processor's temperature in degrees Celsius."""
        text = self._read("sys/class/thermal/thermal_zone0/temp")
        return int(text) / 1000 if text else None

    def power(self) -> Power | None:
        """Return what holds a Raspberry Pi back now, and what did since it started."""
        return read_power(self._root)

    def clock_synced(self) -> bool | None:
        """Return whether the clock was synchronised since the boot."""
        return clock_synced(self._root)

    def link_fault(self) -> str | None:
        """Return why this device has no network; None where it has one."""
        return link_fault(self._root)

    def sleeping_wifi(self) -> list[str]:
        """Return the Wi-Fi interfaces whose power saving is on."""
        return [link.name for link in interfaces(self._root) if link.wireless and power_saving(link.name)]

    def _read(self, path: str) -> str:
        try:
            return (self._root / path).read_text().strip()
        except OSError:
            return ""

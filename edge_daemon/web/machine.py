"""What the machine says of itself: memory, temperature, throttling. None where it doesn't say."""

from __future__ import annotations

import os
from pathlib import Path

_THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"
_NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "near the temperature limit"}
"""Bits of the Raspberry Pi firmware's get_throttled; 16 bits higher each says that it has happened."""


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

    def throttling(self) -> tuple[list[str], list[str]] | None:
        """Return what holds a Raspberry Pi back now, and what did since it started."""
        text = self._read(_THROTTLED)
        if not text:
            return None
        flags = int(text, 16)
        now = [name for bit, name in _NOW.items() if flags >> bit & 1]
        before = [name for bit, name in _NOW.items() if flags >> bit + 16 & 1]
        return now, before

    def _read(self, path: str) -> str:
        try:
            return (self._root / path).read_text().strip()
        except OSError:
            return ""

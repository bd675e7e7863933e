"""How the device is: a line for each thing that can fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from edge_daemon.board.clock import clock_synced
from edge_daemon.board.network import interfaces, link_fault, power_saving
from edge_daemon.board.power import Power, describe, read_power
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.state import StateCache


class SystemStats:
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


STALE_S = 5.0
"""Without a classified frame for so long, the device does not do its work."""

_HOT = 80.0
_LEAST_FREE = 200_000_000


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One line of the page's health."""

    name: str
    value: str
    state: Literal["ok", "warning", "failed"] = "ok"


class HealthChecks:
    """Looks at the device's parts. Used from the page's thread alone; no call blocks."""

    def __init__(self, device: DeviceInfo, board: StateCache, live: LiveFeed, machine: SystemStats) -> None:
        self._device = device
        self._board = board
        self._live = live
        self._machine = machine

    def failure(self, now_s: float) -> str | None:
        """Say why the device does not do its work; None when it does."""
        if self._board.camera == "lost":
            return f"camera lost: {self._board.camera_reason}"
        if now_s - self._live.last_s > STALE_S:
            return f"no frame was classified in the last {STALE_S:g} s"
        return None

    def listed(self, now_s: float) -> list[Mapping[str, object]]:
        """Return every line as plain data."""
        lines = [
            self._camera(now_s),
            *self._panel(),
            self._broker(),
            *self._network(),
            *self._store(),
            *self._body(),
        ]
        lines += [
            HealthCheck("Model", f"{self._device.model}, classifier {self._device.classifier}"),
            HealthCheck("Version", f"edge_daemon {self._device.version}"),
        ]
        return [asdict(line) for line in lines]

    def _camera(self, now_s: float) -> HealthCheck:
        if failure := self.failure(now_s):
            return HealthCheck("Camera", failure, "failed")
        return HealthCheck("Camera", f"seeing, {self._live.fps:.1f} frames/s")

    def _panel(self) -> Iterator[HealthCheck]:
        if self._board.panel_fault:
            yield HealthCheck("Buttons", self._board.panel_fault, "failed")

    def _broker(self) -> HealthCheck:
        connected = self._device.broker()
        if connected is None:
            return HealthCheck("Broker", "MQTT is off")
        return (
            HealthCheck("Broker", "connected")
            if connected
            else HealthCheck("Broker", "not connected", "failed")
        )

    def _store(self) -> Iterator[HealthCheck]:
        path = self._device.store_path
        counts = self._board.counts
        classes = "1 class" if len(counts) == 1 else f"{len(counts)} classes"
        yield HealthCheck("Store", f"{sum(counts.values())} examples of {classes}")
        if self._board.not_kept:
            yield HealthCheck("Mount", self._board.not_kept, "failed")
        free = _free_bytes(path)
        if free is not None:
            state: Literal["ok", "warning"] = "warning" if free < _LEAST_FREE else "ok"
            yield HealthCheck("Disk", f"{free // 1_000_000:,} MB free", state)

    def _body(self) -> Iterator[HealthCheck]:
        memory = self._machine.memory_bytes()
        if memory is not None:
            yield HealthCheck("Memory", f"{memory / 1e6:.0f} MB")
        temperature = self._machine.temperature()
        if temperature is not None:
            yield HealthCheck(
                "Temperature", f"{temperature:.0f} °C", "warning" if temperature >= _HOT else "ok"
            )
        yield from self._power()
        yield from self._clock()

    def _power(self) -> Iterator[HealthCheck]:
        power = self._machine.power()
        if power is None:
            return
        before = tuple(dict.fromkeys((*power.before, *self._board.power_flags)))
        if power.now:
            yield HealthCheck("Power", describe(power.now), "failed")
        elif before:
            yield HealthCheck("Power", f"well now; since the start there was {describe(before)}", "warning")
        else:
            yield HealthCheck("Power", "never throttled")

    def _clock(self) -> Iterator[HealthCheck]:
        synced = self._machine.clock_synced()
        if synced is False:
            yield HealthCheck("Clock", "not synchronised: times may be wrong", "warning")
        elif synced:
            yield HealthCheck("Clock", "synchronised")

    def _network(self) -> Iterator[HealthCheck]:
        if self._device.broker() is False and (fault := self._machine.link_fault()):
            yield HealthCheck("Network", fault, "failed")
        elif sleeping := self._machine.sleeping_wifi():
            yield HealthCheck("Network", f"Wi-Fi power saving is on at {', '.join(sleeping)}", "warning")


def _free_bytes(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None

"""Health checks of the device: one line per part that can fail."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge_daemon.board.clock import clock_synced
from edge_daemon.board.network import interfaces, link_fault, power_saving
from edge_daemon.board.power import Power, describe, read_power
from edge_daemon.domain.counted import counted
from edge_daemon.domain.frame_timing import MAX_FRAME_WAIT_S
from edge_daemon.web.device_info import DeviceInfo
from edge_daemon.web.live_feed import LiveFeed
from edge_daemon.web.state import StateCache

if TYPE_CHECKING:
    from edge_daemon.web.model_quality import ModelQuality

STALE_S = MAX_FRAME_WAIT_S
"""Longest time without a classified frame before the device counts as failing, though its camera works."""

SCENE_STATES = {
    "learning": "not known yet: it is learned while nothing moves",
    "known": "known",
    "changed": "changed: the camera or a lamp moved; it is learned again",
    "none": "none: most of the picture moves",
}
"""Description of each state of a scene."""

_HOT_CELSIUS = 80.0
_MIN_FREE_BYTES = 200_000_000


class SystemStats:
    """Reads /proc and /sys under `root`. Nothing is cached and no call blocks."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def memory_bytes(self) -> int | None:
        """Return the resident memory of this process."""
        text = self._read("proc/self/statm")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") if text else None

    def temperature(self) -> float | None:
        """Return the processor's temperature in degrees Celsius."""
        text = self._read("sys/class/thermal/thermal_zone0/temp")
        return int(text) / 1000 if text else None

    def power(self) -> Power | None:
        """Return the power flags of a Raspberry Pi: those set now and those set since its boot."""
        return read_power(self.root)

    def clock_synced(self) -> bool | None:
        """Return whether the clock was synchronised since the boot; None where that can't be found out."""
        return clock_synced(self.root)

    def link_fault(self) -> str | None:
        """Return why this device has no network; None when it has one."""
        return link_fault(self.root)

    def power_saving_wifi(self) -> list[str]:
        """Return the names of the Wi-Fi interfaces whose power saving is on."""
        return [link.name for link in interfaces(self.root) if link.wireless and power_saving(link.name)]

    def _read(self, path: str) -> str:
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return ""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The result of one check."""

    name: str
    value: str
    state: Literal["ok", "warning", "failed"] = "ok"


class HealthChecks:
    """Checks the parts of the device. Used from the page's thread alone; no call blocks."""

    def __init__(self, device: DeviceInfo, state: StateCache, feed: LiveFeed, system: SystemStats) -> None:
        self._device = device
        self._state = state
        self._feed = feed
        self._system = system
        self._quality: ModelQuality | None = None

    def failure(self, now_s: float) -> str | None:
        """Return why no labels are produced; None while they are."""
        if self._state.camera == "lost":
            return f"camera lost: {self._state.camera_reason}"
        if now_s - self._feed.last_s > STALE_S:
            return f"no frame was classified in the last {STALE_S:g} s"
        return None

    def run(self, now_s: float) -> list[Mapping[str, object]]:
        """Run every check and return the results as plain data."""
        checks = [
            self._check_camera(now_s),
            *self._check_panel(),
            *self._check_scenes(),
            self._check_broker(),
            *self._check_network(),
            *self._check_store(),
            *self._check_system(),
            self._check_model(now_s),
            HealthCheck("Version", f"edge_daemon {self._device.version}"),
        ]
        return [asdict(check) for check in checks]

    def _check_model(self, now_s: float) -> HealthCheck:
        if self._quality is None:
            from edge_daemon.web.model_quality import ModelQuality  # late: only the health view needs it

            self._quality = ModelQuality(self._device.model, self._system.root)
        text = f"{self._device.model}, classifier {self._device.classifier}"
        known = self._quality.describe(now_s, [each.latency_ms for each in self._feed.classified()])
        return HealthCheck("Model", f"{text}; {known}" if known else text)

    def _check_camera(self, now_s: float) -> HealthCheck:
        if failure := self.failure(now_s):
            return HealthCheck("Camera", failure, "failed")
        return HealthCheck("Camera", f"running, {self._feed.fps:.1f} frames/s")

    def _check_panel(self) -> Iterator[HealthCheck]:
        if self._state.panel_fault:
            yield HealthCheck("Buttons", self._state.panel_fault, "failed")

    def _check_scenes(self) -> Iterator[HealthCheck]:
        for region, scene in self._state.scenes.items():
            name = "Scene" if len(self._state.scenes) == 1 else f"Scene of {region}"
            if scene.learned_at is not None:
                how = "by itself" if scene.automatic else "by a press"
                at = scene.learned_at.astimezone(UTC)
                yield HealthCheck(name, f"learned {how} at {at:%Y-%m-%d %H:%M} UTC")
            else:
                yield HealthCheck(name, SCENE_STATES[scene.state])

    def _check_broker(self) -> HealthCheck:
        connected = self._device.broker()
        if connected is None:
            return HealthCheck("Broker", "MQTT is off")
        if connected:
            return HealthCheck("Broker", "connected")
        return HealthCheck("Broker", self._device.broker_fault() or "not connected", "failed")

    def _check_network(self) -> Iterator[HealthCheck]:
        if self._device.broker() is False and (fault := self._system.link_fault()):
            yield HealthCheck("Network", fault, "failed")
        elif wifi := self._system.power_saving_wifi():
            yield HealthCheck("Network", f"Wi-Fi power saving is on at {', '.join(wifi)}", "warning")

    def _check_store(self) -> Iterator[HealthCheck]:
        counts = self._state.counts
        classes = counted(len(counts), "class", "classes")
        yield HealthCheck("Store", f"{counted(sum(counts.values()), 'example')} of {classes}")
        if self._state.not_kept:
            yield HealthCheck("Mount", self._state.not_kept, "failed")
        free = _free_bytes(self._device.store_path)
        if free is not None:
            state: Literal["ok", "warning"] = "warning" if free < _MIN_FREE_BYTES else "ok"
            yield HealthCheck("Disk", f"{free // 1_000_000:,} MB free", state)

    def _check_system(self) -> Iterator[HealthCheck]:
        memory = self._system.memory_bytes()
        if memory is not None:
            yield HealthCheck("Memory", f"{memory / 1e6:.0f} MB")
        temperature = self._system.temperature()
        if temperature is not None:
            state: Literal["ok", "warning"] = "warning" if temperature >= _HOT_CELSIUS else "ok"
            yield HealthCheck("Temperature", f"{temperature:.0f} °C", state)
        yield from self._check_power()
        yield from self._check_clock()

    def _check_power(self) -> Iterator[HealthCheck]:
        power = self._system.power()
        if power is None:
            return
        before = tuple(dict.fromkeys((*power.before, *self._state.power_flags)))
        if power.now:
            yield HealthCheck("Power", describe(power.now), "failed")
        elif before:
            yield HealthCheck("Power", f"ok now; since the start there was {describe(before)}", "warning")
        else:
            yield HealthCheck("Power", "never throttled")

    def _check_clock(self) -> Iterator[HealthCheck]:
        synced = self._system.clock_synced()
        if synced is False:
            yield HealthCheck("Clock", "not synchronised: times may be wrong", "warning")
        elif synced:
            yield HealthCheck("Clock", "synchronised")


def _free_bytes(path: Path) -> int | None:
    try:
        return shutil.disk_usage(path.parent).free
    except OSError:
        return None

"""A bridge under test, with its commands and crashes, and sample events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, Command, Origin
from edge_daemon.domain.types import Prediction
from edge_daemon.mqtt.bridge import build_bridge
from edge_daemon.mqtt.payloads import Info

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
BY_BUTTON = AddExample("cat", 1.0, Origin("gpio", "17"))


class TestClock:
    """Real monotonic time, and a wall clock that is set by `now`."""

    __test__ = False

    def __init__(self) -> None:
        self.now = NOON

    def monotonic(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Return the wall clock's time."""
        return self.now


class Device:
    """A started MqttBridge that records commands and crashes; a context manager that stops it."""

    def __init__(
        self,
        options: MqttOptions,
        device_id: str = "tray-1",
        regions: Sequence[str] = ("frame",),
        queue_path: Path | None = None,
        write_archive: Callable[[BinaryIO], object] | None = None,
        connect_delay_s: float = 0.0,
    ) -> None:
        self.commands: list[Command] = []
        self.crashes: list[BaseException] = []
        self.busy = False
        self.clock = TestClock()
        self.sink = build_bridge(
            options,
            info(device_id, regions),
            self._submit,
            self.clock,
            self.crashes.append,
            queue_path,
            write_archive,
            connect_delay_s=connect_delay_s,
        )

    def __enter__(self) -> Device:
        self.sink.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sink.stop()
        assert self.crashes == []

    def wait_connected(self, expected: bool = True, timeout_s: float = 15.0) -> None:
        """Return once the bridge is connected, or once it has detected the loss."""
        wait_until(lambda: self.sink.connected == expected, timeout_s)

    def _submit(self, command: Command) -> bool:
        if not self.busy:
            self.commands.append(command)
        return not self.busy


def info(device_id: str = "tray-1", regions: Sequence[str] = ("frame",)) -> Info:
    """Return the info of a device."""
    return Info(
        device=device_id,
        name="Tray",
        version="1.2.3",
        model="mobilenet",
        classifier="knn",
        regions=list(regions),
        config_digest="abc",
        triggers=["continuous", "motion", "mqtt"],
    )


def label_changed(label: str, seq: int = 1, region: str = "frame") -> events.LabelChanged:
    """Return a change of the stable label to `label`."""
    return events.LabelChanged(region, label, None, 0.75, seq, NOON, 12.34)


def classified(label: str = "cat", seq: int = 1, region: str = "frame") -> events.Classified:
    """Return a classified frame."""
    return events.Classified(region, Prediction(label, {"cat": 0.25, "dog": 0.75}, 0.98765), seq, NOON, 12.34)


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Return once `condition` is true; fail after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.005)

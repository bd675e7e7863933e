"""A sink under test, with what a test wants to see of it."""

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
from edge_daemon.mqtt.bridge import MqttBridge
from edge_daemon.mqtt.payloads import Info

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
BY_BUTTON = AddExample("cat", 1.0, Origin("gpio", "17"))


class TestClock:
    """Real monotonic time, and a wall clock that stands at `now`."""

    __test__ = False

    def __init__(self) -> None:
        self.now = NOON

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def utc(self) -> datetime:
        """The wall clock."""
        return self.now


class Device:
    """A started MqttBridge that notes commands and crashes; a context manager that stops it."""

    def __init__(
        self,
        options: MqttOptions,
        device_id: str = "tray-1",
        regions: Sequence[str] = ("frame",),
        backlog_path: Path | None = None,
        write_archive: Callable[[BinaryIO], object] | None = None,
        look_first_s: float = 0.0,
    ) -> None:
        self.commands: list[Command] = []
        self.crashes: list[BaseException] = []
        self.busy = False
        self.clock = TestClock()
        self.sink = MqttBridge(
            options,
            info(device_id, regions),
            self._submit,
            self.clock,
            self.crashes.append,
            backlog_path,
            write_archive,
            look_first_s=look_first_s,
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
        """Return once the sink is connected, or once it has noticed that it isn't."""
        wait_until(lambda: self.sink.connected == expected, timeout_s)

    def _submit(self, command: Command) -> bool:
        if not self.busy:
            self.commands.append(command)
        return not self.busy


def info(device_id: str = "tray-1", regions: Sequence[str] = ("frame",)) -> Info:
    """What a device says of itself."""
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
    """The stable label became `label`."""
    return events.LabelChanged(region, label, None, 0.75, seq, NOON, 12.34)


def classified(label: str = "cat", seq: int = 1, region: str = "frame") -> events.Classified:
    """One classified frame."""
    return events.Classified(region, Prediction(label, {"cat": 0.25, "dog": 0.75}, 0.98765), seq, NOON, 12.34)


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    """Return once `condition` holds; fail when it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)

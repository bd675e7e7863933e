"""Events of the board monitor: supply, clock and the store's mount."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_daemon.daemon.board_monitor import OK_AFTER_S, BoardMonitor, ClockMonitor, PowerMonitor
from edge_daemon.domain.commands import ClockSet, Instruction
from edge_daemon.domain.events import ClockChanged, Event, ExamplesKept, ExamplesNotKept, PowerLow, PowerOk
from edge_daemon.system.testing import ManualClock
from tests.board.layout import lay_alarm, lay_link, write
from tests.board.storage import CARD, OVERLAY_ON_CARD, lay_memory, lay_mounts

STORE = Path("/var/lib/edge_daemon/examples.sqlite")


def test_low_power_is_reported_once_and_again_with_more_flags() -> None:
    monitor = PowerMonitor()

    assert monitor.update((), 0.0) is None
    assert monitor.update(("under_voltage",), 10.0) == PowerLow(("under_voltage",))
    assert monitor.update(("under_voltage",), 20.0) is None
    assert monitor.update(("under_voltage", "throttled"), 30.0) == PowerLow(("under_voltage", "throttled"))
    assert monitor.update(("throttled",), 40.0) is None


def test_power_that_dips_with_each_frame_is_ok_after_a_minute_without_a_dip() -> None:
    monitor = PowerMonitor()
    monitor.update(("under_voltage",), 10.0)

    assert monitor.update((), 10.0 + OK_AFTER_S / 2) is None
    assert monitor.update(("under_voltage",), 50.0) is None
    assert monitor.update((), 50.0 + OK_AFTER_S - 1) is None
    assert monitor.update((), 50.0 + OK_AFTER_S) == PowerOk(40.0 + OK_AFTER_S)
    assert monitor.update((), 500.0) is None
    assert monitor.update(("under_voltage",), 600.0) == PowerLow(("under_voltage",))


def test_a_clock_that_is_set_reports_the_wrong_times_and_the_step() -> None:
    boot = datetime(2025, 3, 1, tzinfo=UTC)
    clock = ManualClock(start_s=20.0, start_at=boot + timedelta(seconds=20))
    monitor = ClockMonitor(clock, synced=False)
    clock.advance(100.0)
    assert list(monitor.update(False)) == []

    clock.set_utc(boot + timedelta(days=60, seconds=120))

    assert list(monitor.update(True)) == [
        ClockSet(boot, boot + timedelta(seconds=120), timedelta(days=60).total_seconds()),
        ClockChanged(True),
    ]
    assert list(monitor.update(True)) == []


def test_a_clock_of_unknown_state_shifts_no_times() -> None:
    clock = ManualClock()
    monitor = ClockMonitor(clock, synced=None)
    clock.set_utc(datetime(2027, 1, 1, tzinfo=UTC))

    assert list(monitor.update(True)) == [ClockChanged(True)]


class RunningMonitor:
    """A board monitor that runs on a fake root; a context manager."""

    def __init__(
        self, root: Path, poll_s: float = 0.05, synced: bool = True, store: Path | None = None
    ) -> None:
        write(root, f"run/systemd/timesync/{'synchronized' if synced else 'other'}", "")
        self.events: list[Event] = []
        self.instructions: list[Instruction] = []
        self.crashes: list[BaseException] = []
        self.refusals = 0
        """Number of instructions that the full queue refuses next."""
        self.clock = ManualClock()
        self.monitor = BoardMonitor(
            emit=self.events.append,
            submit=self._submit,
            on_crash=self.crashes.append,
            clock=self.clock,
            root=root,
            poll_s=poll_s,
            store=store,
        )

    def _submit(self, instruction: Instruction) -> bool:
        if self.refusals:
            self.refusals -= 1
            return False
        self.instructions.append(instruction)
        return True

    def __enter__(self) -> RunningMonitor:
        self.monitor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.monitor.stop()
        assert self.crashes == []


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_dip_of_the_supply_and_its_end_are_reported(tmp_path: Path) -> None:
    alarm = lay_alarm(tmp_path, "0")
    with RunningMonitor(tmp_path) as running:
        alarm.write_text("1\n")
        until(lambda: running.events)
        assert running.events == [PowerLow(("under_voltage",))]
        alarm.write_text("0\n")
        time.sleep(0.2)
        running.clock.advance(OK_AFTER_S + 1)
        until(lambda: len(running.events) == 2)
        assert isinstance(running.events[1], PowerOk)


def test_a_sensor_that_disappears_crashes_nothing(tmp_path: Path) -> None:
    alarm = lay_alarm(tmp_path, "1")
    with RunningMonitor(tmp_path) as running:
        until(lambda: running.events)
        alarm.unlink()
        alarm.with_name("name").unlink()
        time.sleep(0.2)


def test_time_synchronised_after_the_start_is_reported(tmp_path: Path) -> None:
    with RunningMonitor(tmp_path, synced=False) as running:
        assert running.events == [ClockChanged(False)]
        write(tmp_path, "run/systemd/timesync/synchronized", "")
        until(lambda: len(running.events) == 2)
        assert running.events[1] == ClockChanged(True)
        assert [type(one) for one in running.instructions] == [ClockSet]


def test_times_are_corrected_once_though_the_queue_was_full(tmp_path: Path) -> None:
    with RunningMonitor(tmp_path, synced=False) as running:
        running.refusals = 3
        write(tmp_path, "run/systemd/timesync/synchronized", "")
        until(lambda: running.instructions)
        time.sleep(0.2)
        assert [type(one) for one in running.instructions] == [ClockSet]
        assert running.events == [ClockChanged(False), ClockChanged(True)]


def test_a_card_that_becomes_read_only_and_its_end_are_reported(tmp_path: Path) -> None:
    """As after faults of the card, with `errors=remount-ro`."""
    lay_mounts(tmp_path, CARD)
    with RunningMonitor(tmp_path, store=STORE) as running:
        assert running.events == []
        lay_mounts(tmp_path, CARD.replace(" rw", " ro"))
        until(lambda: running.events)
        lay_mounts(tmp_path, CARD)
        until(lambda: len(running.events) == 2)
        (lost, kept) = running.events
        assert isinstance(lost, ExamplesNotKept)
        assert "read-only (ext4 at /)" in lost.reason
        assert kept == ExamplesKept()


def test_a_store_in_memory_is_reported_once_before_the_first_frame(tmp_path: Path) -> None:
    lay_mounts(tmp_path, *OVERLAY_ON_CARD)
    with RunningMonitor(tmp_path, store=STORE) as running:
        assert len(running.events) == 1
        time.sleep(0.2)
        assert len(running.events) == 1


def test_a_store_that_need_not_be_kept_is_not_checked(tmp_path: Path) -> None:
    lay_mounts(tmp_path, *OVERLAY_ON_CARD)
    with RunningMonitor(tmp_path) as running:
        time.sleep(0.2)
        assert running.events == []


@pytest.mark.parametrize(
    ("cgroup", "controllers", "lines"),
    [
        ("/system.slice/edge-daemon.service", "cpu io pids", 1),
        ("/system.slice/edge-daemon.service", "cpu io memory pids", 0),
        ("/user.slice/user-1000.slice/session-3.scope", "cpu io pids", 0),
    ],
)
def test_a_memory_limit_without_effect_is_logged_once_by_the_service(
    cgroup: str, controllers: str, lines: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "proc/self/cgroup", f"0::{cgroup}\n")
    lay_memory(tmp_path, controllers=controllers)
    with RunningMonitor(tmp_path):
        time.sleep(0.2)
    assert caplog.text.count("cgroup_enable=memory") == lines


def test_wifi_that_saves_power_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Test machines have no Wi-Fi: only the driver's answer is faked.
    monkeypatch.setattr("edge_daemon.daemon.board_monitor.power_saving", lambda name: name == "wlan0")
    lay_link(tmp_path, "wlan0", carrier="1", wireless=True)
    lay_link(tmp_path, "eth0", carrier="1")
    with RunningMonitor(tmp_path):
        until(lambda: caplog.messages)
        time.sleep(0.2)
    assert [text for text in caplog.messages if "power saving is on at wlan0" in text] == caplog.messages
    assert len(caplog.messages) == 1


def test_it_stops_at_once_between_polls_and_leaves_no_descriptor(tmp_path: Path) -> None:
    lay_alarm(tmp_path, "0")
    before = len(os.listdir("/proc/self/fd"))
    with RunningMonitor(tmp_path, poll_s=600.0):
        time.sleep(0.1)
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 1.5
    assert len(os.listdir("/proc/self/fd")) == before
    assert "board" not in {thread.name for thread in threading.enumerate()}

"""What a Raspberry Pi says of itself, read from files laid out as its kernel does."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.board.power import Power
from edge_daemon.web.health import SystemStats
from tests.board.layout import write


def test_temperature_memory_and_throttling_are_read(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61842\n")
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    machine = SystemStats(tmp_path)
    assert machine.temperature() == 61.842
    assert machine.power() == Power(("under_voltage", "throttled"), ("under_voltage", "throttled"))
    assert machine.memory_bytes() is None
    assert (SystemStats().memory_bytes() or 0) > 1_000_000


def test_a_machine_that_says_nothing_is_no_fault(tmp_path: Path) -> None:
    machine = SystemStats(tmp_path)
    assert (machine.temperature(), machine.power()) == (None, None)

"""System statistics, read from files laid out like a Raspberry Pi's /proc and /sys."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.board.power import Power
from edge_daemon.web.health import SystemStats
from tests.board.layout import write


def test_temperature_memory_and_throttling_are_read(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61842\n")
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    system = SystemStats(tmp_path)
    assert system.temperature() == 61.842
    assert system.power() == Power(("under_voltage", "throttled"), ("under_voltage", "throttled"))
    assert system.memory_bytes() is None
    assert (SystemStats().memory_bytes() or 0) > 1_000_000


def test_missing_files_give_no_values(tmp_path: Path) -> None:
    system = SystemStats(tmp_path)
    assert (system.temperature(), system.power()) == (None, None)

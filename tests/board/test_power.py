"""Under-voltage and throttling, at the paths of each board."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.board.power import Power, describe, read_power
from tests.board.layout import FIRMWARE, lay_alarm, lay_throttled, write


@pytest.mark.parametrize("device", sorted(set(FIRMWARE.values())))
def test_flags_are_read_at_each_boards_path(tmp_path: Path, device: str) -> None:
    lay_throttled(tmp_path, device, "50005\n")

    assert read_power(tmp_path) == Power(("under_voltage", "throttled"), ("under_voltage", "throttled"))


def test_flags_are_found_without_the_drivers_link(tmp_path: Path) -> None:
    write(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "8\n")

    assert read_power(tmp_path) == Power(("temperature_limit",))


@pytest.mark.parametrize(("alarm", "now"), [("1", ("under_voltage",)), ("0", ())])
def test_a_kernel_with_the_voltage_sensor_alone(tmp_path: Path, alarm: str, now: tuple[str, ...]) -> None:
    lay_alarm(tmp_path, alarm, number=3)

    assert read_power(tmp_path) == Power(now)


def test_with_the_sensor_the_has_occurred_bits_count_as_now(tmp_path: Path) -> None:
    lay_alarm(tmp_path, "0")
    lay_throttled(tmp_path, "soc/soc:firmware", "60000\n")

    assert read_power(tmp_path) == Power(("frequency_capped", "throttled"))


def test_the_alarm_counts_though_the_bits_have_passed(tmp_path: Path) -> None:
    lay_alarm(tmp_path, "1")
    lay_throttled(tmp_path, "soc/soc:firmware", "0\n")

    assert read_power(tmp_path) == Power(("under_voltage",))


@pytest.mark.parametrize("text", ["", "\n", "none\n", "-1\n", "1ffffffff0\n"])
def test_an_invalid_value_is_not_reported(tmp_path: Path, text: str) -> None:
    lay_throttled(tmp_path, "soc/soc:firmware", text)

    assert read_power(tmp_path) is None


def test_another_machine_reports_nothing(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/hwmon/hwmon0/name", "k10temp\n")
    write(tmp_path, "sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n")

    assert read_power(tmp_path) is None


def test_flags_read_as_text() -> None:
    assert describe(("under_voltage", "temperature_limit")) == "under-voltage, near the temperature limit"

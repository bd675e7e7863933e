"""The doctor's checks of clock and power, with files under a root folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import convert

from edge_daemon.cli.checks.machine import check_clock, check_power
from edge_daemon.config.schema import Config
from edge_daemon.system.testing import ManualClock
from tests.board.layout import (
    FIRMWARE,
    lay_model,
    lay_throttled,
    write,
)


def test_a_clock_that_was_never_set_is_a_failure() -> None:
    unset = ManualClock(start_at=datetime(1970, 1, 1, 0, 20, tzinfo=UTC))

    check = check_clock(Config(), unset)

    assert check.state == "failed"
    assert "timedatectl" in check.hint


def test_a_clock_without_network_time_is_a_warning_and_with_it_is_fine(tmp_path: Path) -> None:
    clock = ManualClock(start_at=datetime(2030, 1, 1, tzinfo=UTC))
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    config = convert({"mqtt": {"tls": {"enabled": True}}}, Config)

    check = check_clock(config, clock, tmp_path)

    assert (check.state, "TLS" in check.hint) == ("warning", True)
    assert "TLS" not in check_clock(Config(), clock, tmp_path).hint
    write(tmp_path, "run/systemd/timesync/synchronized", "")
    assert check_clock(config, clock, tmp_path).state == "ok"


@pytest.mark.parametrize(("model", "device"), FIRMWARE.items())
def test_a_weak_supply_is_a_failure_on_every_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, device: str
) -> None:
    monkeypatch.setenv("PATH", "")
    lay_model(tmp_path, model)
    lay_throttled(tmp_path, device, "50001\n")

    check = check_power(Config(), tmp_path)

    assert (check.state, check.detail) == ("failed", "under-voltage")
    assert "supply" in check.hint


def test_heat_and_a_weak_supply_have_different_hints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    lay_throttled(tmp_path, "soc/soc:firmware", "80000\n")

    check = check_power(Config(), tmp_path)

    assert (check.state, "heat sink" in check.hint) == ("warning", True)


def test_where_the_kernel_has_no_flags_the_firmware_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_model(tmp_path, "Raspberry Pi 5 Model B Rev 1.0")
    program = write(tmp_path, "bin/vcgencmd", "#!/bin/sh\necho throttled=0x50000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")

    check = check_power(Config(), tmp_path)

    assert (check.state, "throttled" in check.detail) == ("warning", True)
    program.write_text("#!/bin/sh\necho 'VCHI initialization failed' >&2; exit 1\n")
    assert check_power(Config(), tmp_path).state == "ok"


def test_a_machine_without_such_flags_passes(tmp_path: Path) -> None:
    check = check_power(Config(), tmp_path)

    assert (check.state, check.detail) == ("ok", "this machine doesn't report under-voltage or throttling")

"""The service's unit, judged by systemd's own tools."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

import pytest

from edge_daemon.cli.main import COMMANDS, main

UNIT = Path(__file__).parents[2] / "systemd/edge-daemon.service"
MOST_EXPOSED = 1.5


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here; all else as shipped."""
    text, count = re.subn(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text())
    assert count == 1
    path = tmp_path / UNIT.name
    path.write_text(text)
    return path


def test_systemd_understands_every_line(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if str(unit) in line]
    assert complaints == []


def test_exposure_is_low(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True)
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= MOST_EXPOSED


def test_unit_runs_a_command_that_exists_and_waits_for_readiness() -> None:
    text = UNIT.read_text()
    (started,) = re.findall(r"(?m)^ExecStart=\S+/edge-daemon (\w+) --config (\S+)$", text)
    assert started[0] in COMMANDS
    assert started[1] == "/etc/edge_daemon/config.yaml"
    for line in ("Type=notify", "Restart=always", "WatchdogSec=30", "NoNewPrivileges=yes"):
        assert line in text.splitlines()


def test_systemd_understands_the_settings_for_a_second_partition(unit: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/storage.md").read_text()
    (settings,) = re.findall(r"systemctl edit edge-daemon\n\n((?:    .*\n)+)", text)
    folder = unit.with_name(f"{unit.name}.d")
    folder.mkdir()
    (folder / "partition.conf").write_text(textwrap.dedent(settings))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "partition.conf" in line] == []


def test_systemd_understands_the_settings_for_a_serial_port(unit: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/serial.md").read_text()
    (settings,) = re.findall(r"systemctl edit edge-daemon\n\n((?:    .*\n)+)", text)
    folder = unit.with_name(f"{unit.name}.d")
    folder.mkdir()
    (folder / "serial.conf").write_text(textwrap.dedent(settings))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if "serial.conf" in line or "modprobe" in line] == []


def test_the_documented_service_of_the_ejectors_starts_a_command_that_exists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[2] / "docs/sorting-and-arcade.md").read_text()
    (settings,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    (command,) = re.findall(r"(?m)^ExecStart=/usr/bin/edge-daemon (.*)$", settings)
    path = tmp_path / "edge-daemon-sort.service"
    path.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", settings))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if str(path) in line] == []
    config = ["--config", str(Path(__file__).parents[2] / "config/sorter.yaml")]
    words = command.replace("--config /etc/edge_daemon/config.yaml", " ".join(config)).split()
    assert main([*words, "--set", "mqtt.host=null"]) == 1
    assert "mqtt.host" in capsys.readouterr().err  # every argument before it is right


@pytest.mark.parametrize("page", ["programs.md", "recipes/arcade-game.md"])
def test_systemd_understands_the_documented_service_of_programs_and_keys(tmp_path: Path, page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text()
    (settings,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "edge-daemon-programs.service"
    path.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", settings))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert [line for line in done.stderr.splitlines() if str(path) in line] == []


def test_the_kernel_ends_it_before_a_login_where_its_limit_has_no_effect() -> None:
    """Without the kernel's memory cgroup, as on a Pi by default, MemoryMax= is ignored."""
    settings = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if line.startswith(("MemoryMax", "OOM"))
    )
    assert settings["MemoryMax"] == "300M"
    assert int(settings["OOMScoreAdjust"]) > 0
    assert settings["OOMPolicy"] == "continue"  # the end of a decoder process is not the end of the service


def test_the_processors_description_stays_readable() -> None:
    # On Arm the interpreter's kernels read /proc/cpuinfo, which ProcSubset=pid hides, and crash without it.
    assert not re.search(r"(?m)^ProcSubset=pid", UNIT.read_text())


def test_the_start_waits_neither_for_a_connection_nor_for_network_time() -> None:
    text = UNIT.read_text()
    ordered = " ".join(re.findall(r"(?m)^(?:After|Wants|Requires|BindsTo)=(.*)$", text)).split()
    assert ordered == ["network.target", "time-set.target"]

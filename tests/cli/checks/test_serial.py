"""The doctor's check of the serial port, on real pseudo-terminals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.cli.checks.serial import check_serial
from edge_daemon.config.schema import Config, StoreOptions
from edge_daemon.config.serial import SerialOptions
from tests.harness.doctor import run_check, run_check_as_nobody

HOLD = "import os, sys; fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print(flush=True); input()"


@pytest.fixture
def port() -> Iterator[str]:
    """The path of a port whose board answers nothing."""
    board, port = os.openpty()
    path = os.ttyname(port)
    os.close(port)
    yield path
    os.close(board)


@pytest.fixture
def holder(port: str) -> Iterator[int]:
    """Another process that has the port open."""
    command = [sys.executable, "-c", HOLD, port]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def config(port: str, folder: Path) -> Config:
    return Config(serial=SerialOptions(port=port), store=StoreOptions(path=str(folder / "examples.sqlite")))


def test_without_a_port_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    status, check = run_check(capsys, "serial")
    assert (status, check.state, check.detail) == (0, "ok", "no port configured")


def test_a_free_port_is_opened(capsys: pytest.CaptureFixture[str], port: str) -> None:
    status, check = run_check(capsys, "serial", f"serial.port={port}", "serial.baud=9600")
    assert (status, check.state, check.detail) == (0, "ok", f"{port}, 9600 baud")


def test_a_missing_port_is_a_failure_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    status, check = run_check(capsys, "serial", "serial.port=/dev/ttyACM99")
    assert (status, check.state) == (1, "failed")
    assert check.detail == "/dev/ttyACM99: No such file or directory"
    assert "/dev/serial/by-id" in check.hint


def test_a_port_without_permission_names_the_group(tmp_path: Path) -> None:
    port = tmp_path / "port"
    port.touch(0o600)
    tmp_path.chmod(0o755)
    for folder in tmp_path.parents:
        if folder.is_relative_to("/tmp") and folder != Path("/tmp"):
            folder.chmod(0o755)
    status, check = run_check_as_nobody("serial", f"serial.port={port}")
    assert (status, check.state) == (1, "failed")
    assert "Permission denied" in check.detail
    assert "dialout" in check.hint


def test_the_holder_of_a_port_is_named(port: str, holder: int, tmp_path: Path) -> None:
    check = check_serial(config(port, tmp_path))
    assert check.state == "failed"
    assert (
        check.detail
        == f"{port} is open in {Path(f'/proc/{holder}/comm').read_text().strip()} (process {holder})"
    )


def test_a_port_that_the_running_service_has_is_fine(port: str, holder: int, tmp_path: Path) -> None:
    root = tmp_path / "root"
    process = root / "proc" / str(holder)
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "3").symlink_to(port)
    (process / "comm").write_text("edge-daemon\n")
    (process / "cmdline").write_text("/usr/bin/edge-daemon\0run")
    (tmp_path / "examples.sqlite.lock").write_text(str(holder))
    check = check_serial(config(port, tmp_path), root)
    assert (check.state, check.detail) == ("ok", f"{port}; the running service has it open")


def test_the_name_of_the_board_is_proposed(port: str, tmp_path: Path) -> None:
    stable_name = tmp_path / "usb-Arduino_Uno-if00"
    stable_name.symlink_to(port)
    check = check_serial(config(port, tmp_path), stable_names=tmp_path)
    assert check.state == "ok"
    assert check.hint.startswith(f"write {stable_name}, which stays the name")
    check = check_serial(config(str(stable_name), tmp_path), stable_names=tmp_path)
    assert (check.detail, check.hint) == (f"{stable_name} ({port}), 115200 baud", "")

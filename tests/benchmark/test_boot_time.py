"""Timeline of a boot from systemd's timestamps and the service's marks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_daemon.benchmark.boot_time import MARKS, UNIT, Show, read_boot, table
from edge_daemon.cli.main import main
from edge_daemon.domain.errors import EdgeError
from tests.board.layout import write

BOOT = "0d6e6c4e-1111-4222-8333-944455556666"
MANAGER = "UserspaceTimestampMonotonic=2100000\nFinishTimestampMonotonic=21000000\n"
SERVICE = "InactiveExitTimestampMonotonic=9000000\nActiveEnterTimestampMonotonic=15100000\n"
OWN = {"process": 9.01, "loaded": 11.0, "wired": 14.0, "first_label": 15.0}


def systemd(manager: str = MANAGER, service: str = SERVICE) -> Show:
    def show(arguments: Sequence[str]) -> str:
        return service if arguments[0] == UNIT else manager

    return show


def write_marks(root: Path, boot: str = BOOT) -> None:
    write(root, "proc/sys/kernel/random/boot_id", f"{BOOT}\n")
    write(root, MARKS, json.dumps({"boot_id": boot, "marks": OWN}))


def test_steps_of_a_boot_are_in_order(tmp_path: Path) -> None:
    write_marks(tmp_path)

    steps = read_boot(tmp_path, systemd())

    assert [(step.name, step.at_s) for step in steps] == [
        ("kernel started", 0.0),
        ("systemd started", 2.1),
        ("service started", 9.0),
        ("process started", 9.01),
        ("program loaded", 11.0),
        ("model and examples loaded", 14.0),
        ("first label", 15.0),
        ("service ready", 15.1),
        ("boot finished", 21.0),
    ]
    assert "   15.00 s  +  1.00 s  first label" in table(steps)


def test_unfinished_boot_has_no_end(tmp_path: Path) -> None:
    write_marks(tmp_path)

    steps = read_boot(tmp_path, systemd("FinishTimestampMonotonic=0\n"))

    assert "boot finished" not in [step.name for step in steps]


def test_restarted_service_is_refused(tmp_path: Path) -> None:
    write_marks(tmp_path)
    later = "InactiveExitTimestampMonotonic=900000000\nActiveEnterTimestampMonotonic=905000000\n"

    with pytest.raises(EdgeError, match="restart the board"):
        read_boot(tmp_path, systemd(service=later))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"boot_id": 1, "marks": {"a": "b"}}', '{"boot_id": "x", "marks": 3}']
)
def test_damaged_marks_are_an_error_with_their_path(tmp_path: Path, text: str) -> None:
    write(tmp_path, MARKS, text)

    with pytest.raises(EdgeError, match=r"boot\.json"):
        read_boot(tmp_path, systemd())


def test_marks_of_another_boot_are_refused(tmp_path: Path) -> None:
    write_marks(tmp_path, "another")
    with pytest.raises(EdgeError, match="another boot"):
        read_boot(tmp_path, systemd())


def test_command_without_systemd_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    if Path("/run/systemd/system").is_dir() or Path("/", MARKS).exists():
        pytest.skip("systemd runs here")
    assert main(["bench", "--boot"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "board" in line or "boot.json" in line

"""The doctor's check of Python, with files under a root folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge_daemon.board.system_python import system_python
from edge_daemon.cli.checks.python import check_python
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.config.schema import Config

MINE = f"{sys.version_info.major}.{sys.version_info.minor}"
CONFIG = Config(camera=SyntheticOptions())


def root_with(place: Path, target: str | None) -> Path:
    """Lay out a root whose /usr/bin/python3 leads to this name."""
    folder = place / "usr/bin"
    folder.mkdir(parents=True)
    if target is not None:
        (folder / target).touch()
        if target != "python3":
            (folder / "python3").symlink_to(target)
    return place


@pytest.mark.parametrize(
    ("target", "version"),
    [("python3.11", "3.11"), ("python3.13", "3.13"), ("python3", None), (None, None), ("pypy3", None)],
)
def test_the_systems_version_is_in_the_name_of_the_link(
    tmp_path: Path, target: str | None, version: str | None
) -> None:
    assert system_python(root_with(tmp_path, target)) == version


def test_another_python_of_the_system_is_a_warning_with_a_remedy(tmp_path: Path) -> None:
    check = check_python(CONFIG, root_with(tmp_path, "python3.99"), base="/usr")
    assert (check.state, check.detail) == ("warning", f"installed for {MINE}, and the system's is 3.99 now")
    assert "sudo scripts/install" in check.hint


@pytest.mark.parametrize(("target", "base"), [(f"python{MINE}", "/usr"), ("python3.99", "/home/ada/python")])
def test_the_systems_own_python_passes_and_so_does_another_installation(
    tmp_path: Path, target: str, base: str
) -> None:
    check = check_python(CONFIG, root_with(tmp_path, target), base=base)
    assert (check.state, check.hint) == ("ok", "")
    assert "numpy" in check.detail


def test_a_32_bit_python_is_a_failure_with_a_remedy(tmp_path: Path) -> None:
    check = check_python(CONFIG, tmp_path, bits=32)
    assert (check.state, check.detail) == ("failed", "this is a 32-bit Python, and LiteRT needs a 64-bit one")
    assert "Raspberry Pi OS (64-bit)" in check.hint

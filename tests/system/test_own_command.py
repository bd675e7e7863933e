"""The program as a terminal calls it: by its name where that leads to it, else by its path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_daemon.system.own_command import program, program_as_root


def test_a_command_of_another_installation_is_not_taken_for_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("own/bin", "other"):
        make_command(tmp_path / folder / "edge-daemon")
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert program(tmp_path / "own") == f"{tmp_path}/own/bin/edge-daemon"
    monkeypatch.setenv("PATH", str(tmp_path / "own/bin"))
    assert program(tmp_path / "own") == "edge-daemon"


def make_command(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_sudo_gets_the_path_of_a_command_that_it_does_not_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_command(tmp_path / ".venv/bin/edge-daemon")
    monkeypatch.setenv("PATH", str(tmp_path / ".venv/bin"))
    monkeypatch.setenv("SUDO_USER", "ada")
    assert program(tmp_path / ".venv") == "edge-daemon"
    assert program_as_root(tmp_path / ".venv") == f"sudo {tmp_path}/.venv/bin/edge-daemon"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert program_as_root(tmp_path / ".venv") == "edge-daemon", "a root shell needs no sudo"


def test_the_debian_package_s_environment_has_its_command_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_command(tmp_path / "usr/bin/edge-daemon")
    monkeypatch.setenv("PATH", str(tmp_path / "usr/bin"))
    assert program(tmp_path / "usr/lib/edge-daemon") == "edge-daemon"


def test_an_environment_without_the_command_is_called_by_its_python(tmp_path: Path) -> None:
    assert program(tmp_path).endswith(" -m edge_daemon")

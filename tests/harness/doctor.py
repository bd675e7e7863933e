"""Runs one check of the doctor, as this user or as nobody."""

from __future__ import annotations

import json

import pytest

from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.main import main
from tests.harness.as_nobody import run_as_nobody

ALL = (
    "python",
    "camera",
    "gpio",
    "serial",
    "groups",
    "network",
    "broker",
    "fleet",
    "model",
    "store",
    "disk",
    "mount",
    "writes",
    "memory",
    "clock",
    "power",
)
BUTTON = "buttons=[{label: cat, pin: 17}]"


def run_check(capsys: pytest.CaptureFixture[str], only: str, *settings: str) -> tuple[int, Check]:
    """Return the doctor's exit status and the result of one check."""
    status = main(_words(only, settings))
    return status, _found(only, capsys.readouterr().out)


def run_check_as_nobody(only: str, *settings: str) -> tuple[int, Check]:
    """Return the same from a process of the user nobody."""
    done = run_as_nobody(*_words(only, settings))
    return done.returncode, _found(only, done.stdout)


def _words(only: str, settings: tuple[str, ...]) -> list[str]:
    skips = [f"--skip={name}" for name in ALL if name != only]
    return ["doctor", "--json", *skips, *(f"--set={setting}" for setting in settings)]


def _found(name: str, printed: str) -> Check:
    lines = {line["check"]: line for line in map(json.loads, printed.splitlines())}
    assert set(lines) <= {"config", name}
    line = lines[name]
    return Check(line["check"], line["state"], line["detail"], line["hint"])

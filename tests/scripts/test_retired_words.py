"""The check for retired words: names, prose, wh-clauses, exceptions and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/dev/retired_words.py"


def check(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True)


@pytest.mark.parametrize(
    ("source", "line", "fault"),
    [
        ("first = 1\nstranger_score = 2\n", 2, "name 'stranger_score': use held-out class"),
        ("class FleetParcel: ...\n", 1, "name 'FleetParcel': use fleet message"),
        ("def roll() -> None: ...\n", 1, "name 'roll': use live set"),
        ("# Tried anew.\n", 1, "'anew': use again"),
        ('"""Text.\n\nKept for ever.\n"""\n', 3, "'for ever': use forever, without end"),
        ('"""What a file does."""\n', 1, "a docstring begins with a wh-clause"),
        ('def f() -> None:\n    """Whether it works."""\n', 2, "a docstring begins with a wh-clause"),
        ('K = 3\n"""How many vote."""\n', 2, "a docstring begins with a wh-clause"),
        ('log.warning("tried %s anew", 1)\n', 1, "'anew': use again"),
        ('raise ValueError(f"{1} was kept for ever")\n', 1, "'for ever': use forever, without end"),
        ('parser.add_argument("x", help="so long a text")\n', 1, "'so long': use a time"),
    ],
)
def test_fault_is_reported_with_line_and_replacement(
    tmp_path: Path, source: str, line: int, fault: str
) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    done = check(path)
    assert done.stdout == f"{path}:{line}: {fault}\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""Nearest neighbours."""\n\nrolling = "stranger"\n',
        'def f() -> str:\n    """Return what was read."""\n    return "told anew"\n',
        "enrolled = toldwards = 1  # a parcelled list\n",
    ],
)
def test_strings_and_parts_of_words_are_no_faults(tmp_path: Path, source: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    done = check(path)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("name", ["install.sh", "unit.service", "default.yaml", "install"])
def test_comments_of_other_files_are_searched(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("#!/bin/sh\necho anew told # Tried anew.\n")
    assert check(tmp_path).stdout == f"{tmp_path / name}:2: 'anew': use again\n"


def test_folders_are_searched(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/module.py").write_text("crowd = 1\n")
    assert "package/module.py:1: name 'crowd'" in check(tmp_path).stdout


def test_exception_holds_only_under_its_path() -> None:
    allowed = check(SCRIPT.parents[2] / "edge_daemon/example_store/schema.py")
    assert (allowed.stdout, allowed.returncode) == ("", 0)

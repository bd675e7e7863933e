"""Two checkouts are compared by their command line alone; a run that can't be compared ends in a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/benchmarks/compare_checkouts.py"
NEEDED = {"import_ms", "ready_ms", "memory_mb", "start_cpu_ms", "frame_cpu_ms"}
COUNTED = {"start_instructions", "frame_instructions"}
"""Figures that the kernel and the processor must allow."""


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder whose program is the one under test."""
    return with_program(tmp_path / "checkout", f'exec {sys.executable} -m edge_daemon "$@"\n')


def with_program(folder: Path, script: str) -> Path:
    program = folder / ".venv" / "bin" / "edge-daemon"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    return folder


def test_a_checkout_is_compared_with_itself(checkout: Path) -> None:
    done = run(checkout, checkout, "--runs", "1", "--frames", "60", "--json")
    assert done.returncode == 0, done.stderr
    found = {each["figure"]: each for each in json.loads(done.stdout)}
    assert set(found) - COUNTED == NEEDED
    assert all(each["old"] > 0 and each["new"] > 0 and each["ratio"] > 0 for each in found.values())
    assert found["import_ms"]["old"] < found["ready_ms"]["old"]
    assert 0.9 < found["memory_mb"]["ratio"] < 1.1


def test_a_program_that_fails_is_named_with_what_it_said(checkout: Path, tmp_path: Path) -> None:
    broken = with_program(tmp_path / "broken", "echo 'no such model' >&2; exit 1\n")
    done = run(checkout, broken, "--runs", "1", "--frames", "20")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "broken/.venv/bin/edge-daemon" in line
    assert "no such model" in line


def test_a_folder_without_a_program_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, tmp_path)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("compare_checkouts: ")
    assert ".venv/bin/edge-daemon is missing" in line


@pytest.mark.parametrize("words", [["--runs", "0"], ["--frames", "few"], []])
def test_a_wrong_word_is_refused_in_a_line(words: list[str]) -> None:
    done = run(*(["a", "b"] if words else []), *words)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("compare_checkouts.py: error:")

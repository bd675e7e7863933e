"""The comparison with what users would take instead runs without any of it, and says what it left out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/benchmarks/bench_compare.py"


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)


def test_answers_are_compared_and_what_is_not_installed_is_named(tmp_path: Path) -> None:
    done = run("--only", "answer", "--examples", "40,50", "--rounds", "2", "--cache", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["comparisons"]
    assert {each["task"] for each in found} == {"answer among 40 x 1024", "answer among 50 x 1024"}
    assert {"our vote alone", "baseline matrix @ vector"} <= {each["rival"] for each in found}
    assert all(each["ours_ms"] > 0 and each["rival_ms"] > 0 and each["ratio"] > 0 for each in found)
    assert "left out: browser KNN" in done.stderr


def test_the_table_has_a_row_for_each_rival(tmp_path: Path) -> None:
    done = run("--only", "answer", "--examples", "30", "--rounds", "1", "--cache", tmp_path)
    header, _, *rows = done.stdout.splitlines()
    assert header.startswith("| task | beside | ours ms |")
    assert len(rows) >= 2
    assert all(row.count("|") == header.count("|") for row in rows)


@pytest.mark.parametrize("words", [["--only", "soup"], ["--rounds", "few"]])
def test_a_wrong_word_is_refused_in_a_line(words: list[str]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("bench_compare.py: error:")

"""`edge-daemon bench` prints the figures of a real run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from edge_daemon.cli.main import main
from tests.benchmark.test_report import report
from tests.harness.shared_files import shared_path
from tests.harness.terminal import shown_on_a_terminal

T = TypeVar("T")


def test_bench_times_each_stage_against_the_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    model = shared_path("models/mobilenet_v1_0.25_128_quant.tflite")
    words = ["bench", "--frames", "5", "--examples", "30", "--set", f"model.name={model}"]
    assert main([*words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    stages = figures["stages_ms"]
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in stages.values())
    assert figures["ratio_to_baseline"] == pytest.approx(
        stages["whole frame"]["p50"] / stages["baseline interpreter"]["p50"], rel=0.02
    )
    assert figures["press_to_disk_ms"]["p50"] > 0
    assert main(words) == 0
    assert "whole frame / baseline interpreter" in capsys.readouterr().out


def test_a_signal_ends_the_run_and_its_broker(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "edge_daemon", "bench"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as bench:
        children = Path(f"/proc/{bench.pid}/task/{bench.pid}/children")
        broker = _wait_for(lambda: children.read_text().split())[0]
        _wait_for(lambda: list(tmp_path.glob("edge-daemon-bench-*/examples.sqlite")))
        bench.terminate()
    assert bench.returncode == 128 + signal.SIGTERM
    assert not Path(f"/proc/{broker}").exists()
    assert not list(tmp_path.iterdir())


def _wait_for(find: Callable[[], list[T]]) -> list[T]:
    deadline = time.monotonic() + 60
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_a_file_that_can_not_be_written_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("my notes\n")
    for name, fault in (
        ("nowhere/board.csv", "there is no folder"),
        ("notes.txt", "has other columns than this run"),
        ("", "Is a directory"),
    ):
        assert main(["bench", "--csv", str(tmp_path / name), "--set", "model.name=/nowhere.tflite"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert fault in line
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_with_other_stages_is_refused_before_they_are_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "board.csv"
    report().append_to(path)
    model = shared_path("models/mobilenet_v1_0.25_128_quant.tflite")
    words = ["--frames", "1000000", "--examples", "30", "--csv", str(path)]
    assert main(["bench", *words, "--set", f"model.name={model}", "--set", "mqtt.host=null"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("board.csv has other columns than this run; give a new name")


def test_a_terminal_shows_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The temporary folder has characters that have a meaning in YAML."""
    temporary = tmp_path / "a, b: {c"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    model = shared_path("models/mobilenet_v1_0.25_128_quant.tflite")
    words = ["--frames", "5", "--examples", "30", "--set", f"model.name={model}"]
    file = tmp_path / "board.csv"
    lines = shown_on_a_terminal("bench", *words, "--set", "mqtt.host=null", "--csv", str(file))
    assert "bench: 1 of 5, " in lines[0]
    assert "bench: 5 of 5, " in lines[0]
    assert not [line for line in lines if "bench:" in line.rpartition("\x1b[K")[2]]
    header, row = file.read_text().splitlines()
    assert header.startswith("date,commit,")
    assert row


@pytest.mark.parametrize("option", ["--frames", "--examples"])
@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_a_count_of_nothing_is_a_usage_error(
    option: str, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", f"{option}={count}"])
    assert ended.value.code == 2
    assert f"'{count}' is no whole number of at least 1" in capsys.readouterr().err

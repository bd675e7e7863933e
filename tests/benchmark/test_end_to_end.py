"""Label ages: received labels, without those of the warm-up; and processes that end early."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge_daemon.benchmark import startup
from edge_daemon.benchmark.end_to_end import summarize_ages
from edge_daemon.benchmark.listener import ReceivedLabel, read_log, recording
from edge_daemon.benchmark.sources import WARM_UP
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.free_port import free_port


def test_ages_leave_out_the_warm_up() -> None:
    received = [ReceivedLabel(seq, 50.0, 60.0) for seq in range(WARM_UP)]
    ages = summarize_ages([*received, ReceivedLabel(WARM_UP, 5.0, 6.0)])
    assert (ages.labelled.p99, ages.received.p99, ages.frames) == (5.0, 6.0, 1)


def test_too_few_received_labels_are_an_error() -> None:
    with pytest.raises(EdgeError, match=f"received {WARM_UP} labels.*try again"):
        summarize_ages([ReceivedLabel(seq, 5.0, 6.0) for seq in range(WARM_UP)])


def test_a_record_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("[1, 2.5, 3.5]\n[2, 2.5, 3")
    assert read_log(log) == [ReceivedLabel(1, 2.5, 3.5)]


def test_a_subscriber_without_a_broker_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    options = MqttOptions(host="127.0.0.1", port=free_port())
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Kept)
    with (
        pytest.raises(EdgeError, match="the subscriber that times the labels has ended"),
        recording(options, "edge_daemon/bench/result", tmp_path / "log"),
    ):
        started[0].wait(60)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("edge-daemon: ")


def test_a_started_program_ends_with_a_measurement_that_is_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As at SIGTERM: the program is another process."""
    pid = tmp_path / "pid"
    program = (
        "import os, sys, time\n"
        f"open({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        f"sys.stderr.write({startup._READY.decode()!r} + '\\n'); sys.stderr.flush()\n"
        "time.sleep(60)\n"
    )

    def interrupt(_: float) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(startup, "_SETTLE_S", 0.0)
    monkeypatch.setattr(startup, "_memory_mb", interrupt)
    begun_s = time.monotonic()
    with pytest.raises(SystemExit):
        startup._until_ready("a program", [sys.executable, "-c", program], settle=True)
    assert time.monotonic() - begun_s < 30
    assert not Path(f"/proc/{pid.read_text()}").exists()

"""`edge-daemon demo` end to end, with an embedded broker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.demo.next_steps import next_steps
from edge_daemon.demo.subscriber import LabelScore
from tests.harness.mosquitto import Mosquitto
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import DEMO_ACCURACY

QUICK = ("buttons=[{pin: 17, label: mug}]", "camera.fps=240", "camera.size=[160, 120]")
"""One label on small frames without a pause between them, where the score is not the subject."""


@pytest.mark.slow
def test_demo_trains_tests_and_scores_the_received_labels() -> None:
    model = shared_path("models/tf2_mobilenet_v2_1.0_224_ptq.tflite")
    command = [sys.executable, "-m", "edge_daemon", "demo", "--json", "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    *events, score = [json.loads(line) for line in done.stdout.splitlines()]
    taught = [event["label"] for event in events if event.get("event_type") == "example_added"]
    seen = {event["label"] for event in events if event.get("event_type") == "label_changed"}
    assert len(taught) >= 3 * 4
    assert seen == {*taught, "unknown"}
    assert events[-1] == {"availability": "offline"}
    assert score["labels"] >= 100
    assert score["right"] / score["labels"] >= DEMO_ACCURACY.limit
    assert done.returncode == 0, done.stderr
    assert "never moved" not in done.stderr


def test_the_page_is_open_during_the_demo_and_its_end_names_three_commands() -> None:
    options = [word for setting in QUICK for word in ("--set", setting)]
    command = [sys.executable, "-u", "-m", "edge_daemon", "demo", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        lines: list[str] = []
        while "the device is online" not in "".join(lines[-1:]):
            lines.append(demo.stdout.readline())
            assert lines[-1], lines
        address = re.search(r"in a browser: (http://127\.0\.0\.1:\d+/)$", "".join(lines), re.MULTILINE)
        assert address is not None, lines
        with urllib.request.urlopen(address[1], timeout=60) as answer:
            assert b"<html" in answer.read()
        rest = demo.stdout.read()
    assert rest.endswith(f"\n{next_steps()}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_demo_and_leaves_no_file(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-u", "-m", "edge_daemon", "demo"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert any("the device is online" in line for line in demo.stdout)
        assert list(tmp_path.iterdir())
        demo.send_signal(number)
        _, log = demo.communicate(timeout=60)
    assert (demo.returncode, log) == (128 + number, "")
    assert not list(tmp_path.iterdir())


def test_a_broker_that_is_lost_meanwhile_is_an_error_of_one_line(broker: Mosquitto) -> None:
    settings = [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", *QUICK]
    options = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-u", "-m", "edge_daemon", "demo", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert any("the device is online" in line for line in demo.stdout)
        broker.stop()
        _, log = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "Traceback" not in log
    assert log.splitlines()[-1].startswith("edge-daemon: ")


def test_a_demo_without_a_broker_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--set", "mqtt.host=null"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edge-daemon: mqtt.host: the demo needs a broker; ")


def test_score_counts_only_frames_with_ground_truth() -> None:
    score = LabelScore({1: "nut", 2: "nut", 3: "unknown"}.get)
    for seq, label in [(0, "nut"), (1, "nut"), (2, "key"), (3, "nut")]:
        score.add(seq, label)
    assert (score.total.frames, score.total.correct) == (3, 1)
    assert score.tallies["nut"].wrong == {"key": 1}
    assert "key (1)" in score.table()


def test_camera_other_than_the_simulator_is_refused() -> None:
    command = [sys.executable, "-m", "edge_daemon", "demo", "--set", "camera={type: v4l2}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "synthetic" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "error"),
    [("model.name=nothere", "no model 'nothere'"), ("mqtt.port=9", "can't reach the MQTT")],
)
def test_a_demo_that_cannot_begin_prints_its_error_alone(option: str, error: str) -> None:
    command = [sys.executable, "-m", "edge_daemon", "demo", "--set", "mqtt.host=127.0.0.1", "--set", option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith(f"edge-daemon: {error}")

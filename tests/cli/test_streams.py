"""Streams and locales as they come: closed, full, ASCII only. Never a traceback."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.shared_files import shared_path

LABEL = "größe🐈"


def run(*words: str, **settings: object) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "edge_daemon", *words]
    return subprocess.run(command, env=environ, stderr=subprocess.PIPE, timeout=120, **settings)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def taught(tmp_path: Path) -> list[str]:
    words = ["--set", f"store.path={tmp_path / 's.sqlite'}", "--set", "mqtt.host=null"]
    assert main(["examples", *words, "add", LABEL, str(shared_path("images/cat.jpg"))]) == 0
    return words


def test_a_label_outside_the_locale_is_escaped(taught: list[str]) -> None:
    done = run("examples", *taught, "list", stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert LABEL.encode("ascii", "backslashreplace") in done.stdout
    assert b"Traceback" not in done.stderr


def test_json_outside_the_locale_stays_json(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"device:\n  name: {LABEL}\n", encoding="utf-8")
    done = run("config", "show", "--json", "--config", str(path), stdout=subprocess.PIPE)
    assert json.loads(done.stdout)["device"]["name"] == LABEL


def test_json_of_a_device_s_messages_stays_json(broker: Mosquitto) -> None:
    environ = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    options = [
        "--json",
        "--device",
        "pi",
        "--set",
        f"mqtt.host={broker.host}",
        "--set",
        f"mqtt.port={broker.port}",
    ]
    command = [sys.executable, "-m", "edge_daemon", "watch", *options]
    with Listener(broker.port) as device:
        device.publish("edge_daemon/pi/label", LABEL, retain=True)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        found = [json.loads(watch.stdout.readline()) for _ in range(2)]
        watch.terminate()
    assert watch.returncode == -signal.SIGTERM, "a clean end for systemd"
    assert found[1] == {"topic": "label", "retained": True, "payload": LABEL}


def test_a_full_disk_behind_the_output_is_one_line(taught: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = run("examples", *taught, "list", stdout=full)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["examples", "list", "--help"]])
def test_help_that_can_t_be_written_is_one_line(
    words: list[str], unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with open("/dev/full", "wb") as full:
        done = run(*words, stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"edge-daemon: the output can't be written: No space left on device\n"


def test_a_refused_call_that_wrote_nothing_is_not_blamed_on_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(args: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("edge_daemon.cli.config.run", refuse)
    assert main(["config", "check"]) == 1
    assert capsys.readouterr().err == "edge-daemon: Too many open files; --debug shows where\n"


def test_closed_streams_are_no_fault(taught: list[str]) -> None:
    script = f'"{sys.executable}" -m edge_daemon "$@" <&- >&-'
    command = ["sh", "-c", script, "sh", "examples", *taught, "list"]
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_keyboard_is_harmless_without_an_input(taught: list[str], tmp_path: Path) -> None:
    photo = shared_path("images/cat.jpg")
    camera = ["--set", "camera.type=replay", "--set", f"camera.path={photo}"]
    script = f'"{sys.executable}" -m edge_daemon "$@" <&-'
    command = ["sh", "-c", script, "sh", "run", "--once", "--keyboard", "cat", *camera, *taught]
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0
    assert b"standard input is closed" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_interpreter_s_notices_do_not_reach_the_user(taught: list[str]) -> None:
    done = run("classify", *taught, str(shared_path("images/cat.jpg")), stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stderr == b""


def test_a_file_s_name_controls_no_terminal_and_breaks_no_line(taught: list[str], tmp_path: Path) -> None:
    name = "a\nb\x1b[31m.jpg"
    (tmp_path / name).write_bytes(b"no picture")
    done = run("classify", *taught, str(tmp_path / name), stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (1, b"")
    [line] = done.stderr.splitlines()
    assert rb"a\nb\x1b[31m.jpg is not an image" in line
    shutil.copy(shared_path("images/cat.jpg"), tmp_path / name)
    done = run("classify", *taught, str(tmp_path / name), stdout=subprocess.PIPE)
    [line] = done.stdout.splitlines()
    assert rb"a\nb\x1b[31m.jpg" in line
    packed = tmp_path / "pictures"
    (packed / "cat").mkdir(parents=True)
    shutil.copy(shared_path("images/cat.jpg"), packed / "cat")
    (packed / "cat" / name).write_bytes(b"no picture")
    other = ["--set", f"store.path={tmp_path / 'other.sqlite'}"]
    done = run("examples", *other, "import", str(packed), stdout=subprocess.PIPE)
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert rb"a\nb\x1b[31m.jpg is not an image" in line

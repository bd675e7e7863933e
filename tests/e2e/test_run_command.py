"""`edge-daemon run` under systemd: readiness, watchdog, signals, errors in one line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_daemon.board.process import daemon_process, peak_memory
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.mqtt.subscriber import Subscriber
from tests.harness.daemon_harness import MODEL, TIMEOUT_S
from tests.harness.mosquitto import Mosquitto
from tests.harness.shared_files import shared_path


class Manager:
    """The receiver of sd_notify messages."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(TIMEOUT_S)
        self.path = path

    def wait_for(self, word: str) -> str:
        while True:
            text = self._socket.recv(4096).decode()
            if word in text:
                return text

    def close(self) -> None:
        self._socket.close()


@contextmanager
def started(
    tmp_path: Path, config: str, *words: str
) -> Iterator[tuple[subprocess.Popen[str], Manager, Path]]:
    path = tmp_path / "config.yaml"
    path.write_text(
        f"model: {{name: {shared_path(MODEL)}}}\nstore: {{path: {tmp_path}/examples.sqlite}}\n" + config
    )
    manager = Manager(tmp_path / "notify")
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "20000000"}
    command = [sys.executable, "-m", "edge_daemon", "run", "--config", str(path)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process, manager, path
    finally:
        process.kill()
        process.wait()
        manager.close()


SYNTHETIC = "camera: {type: synthetic, size: [160, 120]}\n"


def test_ready_then_watchdog_then_clean_stop(tmp_path: Path) -> None:
    with Mosquitto() as broker:
        mqtt = f"mqtt: {{host: {broker.host}, port: {broker.port}}}\ndevice: {{id: unit}}\n"
        with started(tmp_path, SYNTHETIC + mqtt) as (process, manager, _):
            assert "READY=1" in manager.wait_for("READY=1")
            manager.wait_for("WATCHDOG=1")
            options = MqttOptions(host=broker.host, port=broker.port)
            with Subscriber(options, "edge_daemon/unit/availability") as subscriber:
                online = subscriber.receive(timeout_s=TIMEOUT_S)
                asked_s = time.monotonic()
                process.send_signal(signal.SIGTERM)
                offline = subscriber.receive(timeout_s=TIMEOUT_S)
                assert process.wait(TIMEOUT_S) == 0
                took_s = time.monotonic() - asked_s
            manager.wait_for("STOPPING=1")
    assert online is not None
    assert offline is not None
    assert (online.payload, offline.payload) == (b"online", b"offline")
    assert took_s < 5
    assert not (tmp_path / "examples.sqlite-wal").exists(), "the store was not closed"


def test_the_running_daemon_is_found_by_its_store(tmp_path: Path) -> None:
    with started(tmp_path, SYNTHETIC + "mqtt: {host: null}\n") as (process, manager, _):
        manager.wait_for("READY=1")
        assert daemon_process(tmp_path / "examples.sqlite") == process.pid
        assert (peak_memory(process.pid) or 0) > 10_000_000
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    assert daemon_process(tmp_path / "examples.sqlite") is None


def test_hup_reloads_the_configuration_or_logs_the_reason(tmp_path: Path) -> None:
    with started(tmp_path, SYNTHETIC + "mqtt: {host: null}\n") as (process, manager, path):
        manager.wait_for("READY=1")
        right = path.read_text()
        path.write_text(right + "camra: {}\n")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        line = next(line for line in process.stderr if "not reloaded" in line)
        assert "did you mean 'camera'" in line
        path.write_text(right.replace("160, 120", "320, 240"))
        process.send_signal(signal.SIGHUP)
        manager.wait_for("RELOADING=1")
        manager.wait_for("READY=1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


def test_missing_camera_is_a_state_and_the_service_is_ready(tmp_path: Path) -> None:
    camera = "camera: {type: v4l2, device: /dev/video99}\nmqtt: {host: null}\n"
    with started(tmp_path, camera) as (process, manager, _):
        assert "camera lost" in manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


@pytest.mark.parametrize(
    ("extra", "parts"),
    [
        ("model.name=missing", ["missing", "models pull", "EDGE_DAEMON_MODELS"]),
        ("store.path=/proc/none/examples.sqlite", ["/proc/none"]),
        ("mqtt.password_file=/none", ["mqtt.password_file", "/none"]),
        ("camera={type: replay, path: /none.jpg}", ["/none.jpg"]),
    ],
)
def test_an_invalid_configuration_ends_with_one_line(tmp_path: Path, extra: str, parts: list[str]) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        SYNTHETIC + f"model: {{name: {shared_path(MODEL)}}}\nstore: {{path: {tmp_path}/e.sqlite}}\n"
    )
    command = [sys.executable, "-m", "edge_daemon", "run", "--once", "--config", str(path), "--set", extra]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("edge-daemon: ")
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in last

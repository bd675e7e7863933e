"""The daemon under systemd: clock state in `info`, and the time stamps of the start."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge_daemon.board.clock import clock_synced
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.daemon.boot_marks import NAME
from edge_daemon.mqtt.subscriber import Subscriber
from tests.e2e.test_run_command import SYNTHETIC, started
from tests.harness.daemon_harness import TIMEOUT_S
from tests.harness.mosquitto import Mosquitto


def test_info_has_the_clock_state_and_a_start_writes_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    monkeypatch.setitem(os.environ, "RUNTIME_DIRECTORY", str(runtime))
    with Mosquitto() as broker:
        mqtt = f"mqtt: {{host: {broker.host}, port: {broker.port}}}\ndevice: {{id: unit}}\n"
        with started(tmp_path, SYNTHETIC + mqtt) as (_, manager, _path):
            manager.wait_for("READY=1")
            marks = json.loads((runtime / NAME).read_text())["marks"]
            options = MqttOptions(host=broker.host, port=broker.port)
            with Subscriber(options, "edge_daemon/unit/info") as subscriber:
                info = subscriber.receive(timeout_s=TIMEOUT_S)

    assert info is not None
    assert json.loads(info.payload)["clock_synced"] is clock_synced()
    assert list(marks) == ["process", "loaded", "wired", "first_label"]
    assert list(marks.values()) == sorted(marks.values())

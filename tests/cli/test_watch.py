"""`edge-daemon watch` at a real broker that is killed and comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from edge_daemon.cli.main import main
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


def test_lines_go_on_after_the_broker_was_killed_and_restarted(broker: Mosquitto) -> None:
    words = ["watch", "--json", "--device", "pi", "--set", f"mqtt.host={broker.host}"]
    watching = subprocess.Popen(
        [sys.executable, "-m", "edge_daemon", *words, "--set", f"mqtt.port={broker.port}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout is not None
        lines = (json.loads(line) for line in watching.stdout)
        assert next(lines)["connected"]
        assert heard_after_publishing(broker, "nut", lines)["payload"]["label"] == "nut"
        broker.kill()
        lost = next(lines)
        assert not lost["connected"]
        assert str(broker.port) in lost["text"]
        broker.start()
        assert next(lines)["connected"]
        assert heard_after_publishing(broker, "bolt", lines)["payload"]["label"] == "bolt"
    finally:
        watching.kill()
        watching.wait()


def heard_after_publishing(broker: Mosquitto, label: str, lines: Iterator[dict[str, Any]]) -> dict[str, Any]:
    with Listener(broker.port) as device:
        device.publish("edge_daemon/pi/event", json.dumps({"event_type": "object", "label": label}))
    return next(lines)


def test_a_password_file_that_is_missing_ends_it_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--set", "mqtt.username=ann", "--set", "mqtt.password_file=/none/password"]
    assert main(["watch", *words]) == 1
    assert "/none/password" in capsys.readouterr().err


def test_a_configuration_without_a_broker_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--set", "mqtt.host=null"]) == 1
    assert "mqtt.host" in capsys.readouterr().err

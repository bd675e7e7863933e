"""kill -9 during a burst of presses: every acknowledged example is stored, and the daemon starts again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.mqtt.subscriber import Subscriber
from tests.harness.daemon_harness import MODEL, TIMEOUT_S
from tests.harness.mosquitto import Mosquitto
from tests.harness.shared_files import shared_path

KILLS = 12


def test_every_acknowledged_example_survives_kill_9(tmp_path: Path) -> None:
    moments = random.Random(7)
    acknowledged: set[int] = set()
    store_path = tmp_path / "examples.sqlite"
    with Mosquitto() as broker:
        options = MqttOptions(host=broker.host, port=broker.port)
        command = [
            sys.executable, "-m", "tests.e2e.pressing_daemon", "camera.type=synthetic", "camera.fps=100",
            "camera.size=[64, 64]", f"model.name={shared_path(MODEL)}", f"store.path={store_path}",
            f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", "device.id=burst",
            "buttons.0={pin: 17, label: red}", "panel.debounce_ms=5",
        ]  # fmt: skip
        with Subscriber(options, "edge_daemon/burst/event") as subscriber:
            for _ in range(KILLS):
                daemon = subprocess.Popen(command, stderr=subprocess.DEVNULL)
                fresh = _listen(subscriber, enough=1, until_s=time.monotonic() + TIMEOUT_S)
                fresh |= _listen(subscriber, enough=10**6, until_s=time.monotonic() + moments.uniform(0, 0.3))
                daemon.kill()
                daemon.wait()
                fresh |= _listen(subscriber, enough=10**6, until_s=time.monotonic() + 0.1)
                assert fresh
                acknowledged |= fresh
                with ExampleStore(store_path) as store:
                    kept = {example.id for example in store}
                assert acknowledged <= kept
    assert len(acknowledged) >= KILLS


def _listen(subscriber: Subscriber, enough: int, until_s: float) -> set[int]:
    """Collect the ids of acknowledged examples until there are enough, or until the deadline."""
    ids: set[int] = set()
    while len(ids) < enough and (left_s := until_s - time.monotonic()) > 0:
        message = subscriber.receive(timeout_s=left_s)
        event = json.loads(message.payload) if message else {}
        if event.get("event_type") == "example_added":
            ids.add(event["id"])
    return ids

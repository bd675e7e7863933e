"""The whole program, started in the folders and at the broker that version 0.1.0 left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.compatibility.written import EXPECTED, GROUP, KEY, copy_of, fleet_messages, raw_rows, retained
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener

TIMEOUT_S = 60.0
REGIONS = "regions=[{name: left, box: [0, 0, 0.5, 1]}, {name: right, box: [0.5, 0, 0.5, 1]}]"


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@contextmanager
def started(folder: Path, state: Path, port: int, *settings: str) -> Iterator[None]:
    """Run the daemon before a picture of noise."""
    film = folder / "film.npy"
    np.save(film, np.random.default_rng(0).integers(0, 256, (4, 60, 120, 3), np.uint8))
    given = [
        f"camera={{type: replay, path: {film}, loop: true, fps: 5}}",
        *("mqtt.host=127.0.0.1", f"mqtt.port={port}", REGIONS),
        *settings,
    ]
    command = [sys.executable, "-m", "edge_daemon", "run", *(w for each in given for w in ("--set", each))]
    environment = os.environ | {
        "STATE_DIRECTORY": str(state),
        "CACHE_DIRECTORY": str(folder / "cache"),
        "EDGE_DAEMON_FLEET_KEY": KEY.hex(),
    }
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, said


def wait_for(condition: Callable[[], object], complaint: Callable[[], object]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.05)


def sent(listener: Listener, topics: Sequence[str]) -> list[tuple[str, bytes]]:
    """Return what was published at these topics since the listener came."""
    return [(m.topic, m.payload) for m in list(listener.messages) if m.topic in topics and not m.retained]


def test_a_device_of_the_fleet_goes_on_where_it_was(tmp_path: Path, broker: Mosquitto) -> None:
    state = copy_of("state", tmp_path)
    ours = fleet_messages("north")
    with Listener(broker.port) as listener:
        for topic, payload in retained().items():
            listener.publish(topic, payload, retain=True)
    with Listener(broker.port) as listener:
        settings = ("device.id=north", f"fleet.group={GROUP}", "mqtt.discovery.enabled=true")
        with started(tmp_path, state, broker.port, *settings):
            wait_for(lambda: sent(listener, ["edge_daemon/north/examples"]), lambda: listener.messages)
            for topic, payload in sent(listener, list(ours)):
                assert payload == ours[topic]
            listener.publish("edge_daemon/north/request/add", '{"label": "new", "region": "right"}')
            wait_for(
                lambda: (
                    {topic for topic, payload in sent(listener, list(ours)) if payload != ours[topic]}
                    == set(ours)
                ),
                lambda: sent(listener, list(ours)),
            )
        changed = dict(sent(listener, list(ours)))
        counts = json.loads(sent(listener, ["edge_daemon/north/examples"])[-1][1])["counts"]
    topic = f"edge_daemon/fleet/{GROUP}/north/0"
    *records, _ = msgspec.msgpack.decode(changed[topic])
    assert records == msgspec.msgpack.decode(ours[topic])
    assert counts["new"] == 1
    assert counts["disc"] >= 3


def test_the_events_that_waited_reach_the_broker_as_they_were(tmp_path: Path, broker: Mosquitto) -> None:
    state = copy_of("west", tmp_path)
    topic = "edge_daemon/west/event"
    [queue] = state.glob("mqtt-events.*.sqlite")
    statement = "SELECT topic, payload FROM event ORDER BY id"
    then = raw_rows(queue, statement)
    assert len(then) == len(EXPECTED["queue"]) >= 4
    with Listener(broker.port) as listener:
        with started(tmp_path, state, broker.port, "device.id=west"):
            wait_for(lambda: len(sent(listener, [topic])) >= len(then), lambda: listener.messages)
        assert sent(listener, [topic])[: len(then)] == then
    assert raw_rows(queue, statement) == []

"""`edge-daemon examples fetch` from a device with a store, at a real broker."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_daemon.cli.fetch import fetch_archive
from edge_daemon.cli.main import main
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import RequestError
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.subscriber import Subscriber
from edge_daemon.mqtt.topics import device_topics
from tests.harness.mosquitto import Mosquitto, free_port
from tests.mqtt.test_example_export import device_with_store


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def options(broker: Mosquitto) -> MqttOptions:
    return MqttOptions(host=broker.host, port=broker.port)


def fetch(broker: Mosquitto, folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command where the machine's own store can't be opened."""
    settings = [
        f"mqtt.host={broker.host}",
        f"mqtt.port={broker.port}",
        f"store.path={folder / 'no/store.sqlite'}",
    ]
    command = [sys.executable, "-m", "edge_daemon", "examples", "fetch", "--device", "tray-1", *words]
    command += [word for setting in settings for word in ("--set", setting)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_archive_is_whole_and_nothing_is_overwritten(
    broker: Mosquitto, options: MqttOptions, tmp_path: Path
) -> None:
    target = tmp_path / "fetched.zip"
    with device_with_store(options, tmp_path) as device:
        device.wait_connected()
        done = fetch(broker, tmp_path, "--json", target)
        again = fetch(broker, tmp_path, target)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    assert line == {"path": str(target), "bytes": target.stat().st_size, "parts": line["parts"]}
    assert line["parts"] > 1
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert target.stat().st_size == line["bytes"]
    assert not (tmp_path / "no").exists()


def test_the_progress_counts_bytes_up_to_those_of_the_archive(options: MqttOptions, tmp_path: Path) -> None:
    shown: list[tuple[int, int]] = []
    topics = device_topics(None, "tray-1", ())
    with Subscriber(options, topics.info) as other:
        answer = b'{"status": "ok", "transaction": "of another request"}'
        other.publish(Message(topics.response("examples"), answer, qos=1, retain=True))
    with device_with_store(options, tmp_path) as device:
        device.wait_connected()
        archive, parts = fetch_archive(options, topics, lambda done, total: shown.append((done, total)))
    assert len(shown) == parts > 1
    assert shown == sorted(shown)
    assert {total for _, total in shown} == {len(archive)}
    assert shown[-1][0] == len(archive)


def test_bytes_that_are_no_archive_get_no_name(
    broker: Mosquitto, options: MqttOptions, tmp_path: Path
) -> None:
    target = tmp_path / "fetched.zip"
    content = bytes(range(256)) * 4
    body = {
        "export": "e",
        "part": 1,
        "parts": 1,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "base64": base64.b64encode(content).decode(),
    }
    topics = device_topics(None, "tray-1", ())

    def answer() -> None:
        with Subscriber(options, topics.request("examples")) as requests:
            ready.set()
            while (request := requests.receive(20)) is None:
                pass
            transaction = json.loads(request.payload)["transaction"]
            reply = json.dumps({"status": "ok", "data": body, "transaction": transaction}).encode()
            requests.publish(Message(topics.response("examples"), reply, qos=1, retain=False))
            done.wait(20)

    ready, done = threading.Event(), threading.Event()
    device = threading.Thread(target=answer)
    device.start()
    ready.wait(10)
    fetched = fetch(broker, tmp_path, target)
    done.set()
    device.join()
    assert fetched.returncode == 1
    [line] = fetched.stderr.splitlines()
    assert line.startswith("edge-daemon: what the device sent: it is no zip")
    assert not target.exists()


def test_a_device_that_does_not_answer_is_an_error_that_says_what_to_check(
    broker: Mosquitto, options: MqttOptions
) -> None:
    with pytest.raises(RequestError, match="after 0 parts; is the device online, and may this MQTT user"):
        fetch_archive(options, device_topics(None, "tray-2", ()), first_timeout_s=0.3)


def test_a_broker_that_is_not_there_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    settings = ["--set", "mqtt.host=127.0.0.1", "--set", f"mqtt.port={port}"]
    assert main(["examples", "fetch", *settings, str(tmp_path / "a.zip")]) == 1
    assert str(port) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_without_a_broker_in_the_configuration_it_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["examples", "fetch", "--set", "mqtt.host=null", str(tmp_path / "a.zip")]) == 1
    assert "mqtt.host: no broker is configured" in capsys.readouterr().err

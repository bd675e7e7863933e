"""`edge-daemon scene` and what a device answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge_daemon.cli.main import main
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.subscriber import Subscriber
from edge_daemon.mqtt.topics import device_topics
from tests.harness.mosquitto import Mosquitto

TOPICS = device_topics(None, "tray-1", ())


@contextmanager
def device_that_answers(broker: Mosquitto, data: object) -> Iterator[list[str]]:
    """Answer the first request with `data`; yield the words that lead the command to this device."""
    ready = threading.Event()

    def answer() -> None:
        with Subscriber(MqttOptions(host=broker.host, port=broker.port), TOPICS.request("scene")) as device:
            ready.set()
            while (request := device.receive(20)) is None:
                pass
            transaction = json.loads(request.payload)["transaction"]
            reply = json.dumps({"status": "ok", "data": data, "transaction": transaction}).encode()
            device.publish(Message(TOPICS.response("scene"), reply, qos=1, retain=False))
            done.wait(20)

    done = threading.Event()
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert ready.wait(20)
        yield ["--device", "tray-1", "--set", f"mqtt.host={broker.host}", "--set", f"mqtt.port={broker.port}"]
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize(
    "data", [None, [], {}, {"regions": {"frame": {}}}, {"regions": {"frame": {"state": 1, "age_s": "?"}}}]
)
def test_an_answer_without_states_is_an_error_in_one_line(
    broker: Mosquitto, data: object, capsys: pytest.CaptureFixture[str]
) -> None:
    with device_that_answers(broker, data) as words:
        assert main(["scene", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edge-daemon: the device did not answer with the states of scenes: ")


def test_words_of_a_device_do_not_control_the_terminal(
    broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    with device_that_answers(
        broker, {"regions": {"frame": {"state": "kno\x1b[31mwn\n", "later": 1}}}
    ) as words:
        assert main(["scene", *words]) == 0
    assert capsys.readouterr().out == "kno\\x1b[31mwn\\n\n"


@pytest.mark.parametrize("device", ["+", "a+b", "#", "a/b", "", "x" * 65])
def test_a_device_s_id_is_checked(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scene", "--device", device, "--set", "mqtt.host=broker.invalid"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edge-daemon: --device: ")

from __future__ import annotations

import pytest

from edge_daemon.errors import BrokerError
from edge_daemon.mqtt.client import Party
from edge_daemon.mqtt.embedded_broker import EmbeddedBroker
from edge_daemon.mqtt.handshake import connect
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.options import MqttOptions
from tests.mqtt.broker import Mosquitto, free_port

WILL = Message("b/availability", b"offline", 1, retain=True)


def version_spoken(port: int, will: Message | None = None) -> str:
    connection = connect(MqttOptions(host="127.0.0.1", port=port), Party("x", will), {}, lambda: False)
    connection.close(graceful=True)
    return connection.version


def test_a_broker_that_refuses_version_5_is_asked_in_3_1_1() -> None:
    with EmbeddedBroker() as broker:
        assert version_spoken(broker.port) == "3.1.1"


def test_a_broker_that_leaves_version_5_unanswered_is_asked_in_3_1_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_daemon.mqtt.handshake._FIRST_ANSWER_S", 0.2)
    with EmbeddedBroker() as broker:
        assert version_spoken(broker.port, WILL) == "3.1.1"


def test_a_broker_that_speaks_version_5_is_spoken_to_in_it(broker: Mosquitto) -> None:
    assert version_spoken(broker.port, WILL) == "5"


def test_the_broker_says_how_many_it_takes_at_once() -> None:
    with Mosquitto(settings="max_inflight_messages 2") as narrow:
        options = MqttOptions(host=narrow.host, port=narrow.port)
        connection = connect(options, Party("x"), {}, lambda: False)
        connection.close(graceful=True)
    assert connection.window == 2


def test_what_is_wrong_in_any_version_is_told() -> None:
    with (
        Mosquitto(users={"tray": "secret"}) as broker,
        pytest.raises(BrokerError, match="refused us: Not auth"),
    ):
        version_spoken(broker.port)
    with pytest.raises(BrokerError, match="Connection refused"):
        version_spoken(free_port())

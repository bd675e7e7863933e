from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.mqtt import retained_check
from edge_daemon.mqtt.client import Connection
from tests.harness.mosquitto import Mosquitto


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def options(broker: Mosquitto) -> MqttOptions:
    return MqttOptions(host=broker.host, port=broker.port, max_reconnect_s=0.2)


@pytest.fixture
def hidden_retained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the broker look as one that sends no retained messages to new subscriptions with a wildcard."""
    subscribe = Connection.subscribe

    def subscribe_elsewhere(self: Connection, topic_filter: str, qos: int) -> int | None:
        return subscribe(self, topic_filter.replace("info/#", "info/none/#"), qos)

    monkeypatch.setattr(Connection, "subscribe", subscribe_elsewhere)
    monkeypatch.setattr(retained_check, "_DELIVERY_S", 0.2)

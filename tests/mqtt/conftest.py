from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_daemon.config.mqtt import MqttOptions
from tests.harness.mosquitto import Mosquitto


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


@pytest.fixture
def options(broker: Mosquitto) -> MqttOptions:
    return MqttOptions(host=broker.host, port=broker.port, max_reconnect_s=0.2)

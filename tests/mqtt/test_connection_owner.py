"""The owner of a connection: the thread `mqtt`, or the thread of a result that it sends itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.mqtt.client import Connection
from edge_daemon.mqtt.message import Message
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, classified, label_changed, wait_until
from tests.harness.unreliable_proxy import Proxy

BASE = "edge_daemon/tray-1"
RESULT = f"{BASE}/result"


class Owners:
    """Records which thread uses a connection, and whether two did at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.senders: list[str] = []
        self.without_owner: list[str] = []
        self._using = threading.Lock()
        for name in ("publish", "subscribe", "_read"):
            monkeypatch.setattr(Connection, name, self._watched(name, getattr(Connection, name)))

    def _watched(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def watched(connection: Connection, *arguments: Any, **named: Any) -> Any:
            alone = self._using.acquire(blocking=False)
            if not alone or not connection.owner.locked():
                self.without_owner.append(name)
            if arguments and isinstance(arguments[0], Message) and arguments[0].topic == RESULT:
                self.senders.append(threading.current_thread().name)
            try:
                return method(connection, *arguments, **named)
            finally:
                if alone:
                    self._using.release()

        return watched


@pytest.fixture
def unlimited(options: MqttOptions) -> MqttOptions:
    return msgspec.structs.replace(options, result_per_s=1e6, requests_per_s=1e6)


def test_a_result_is_sent_by_the_thread_that_classified_it(
    unlimited: MqttOptions, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = Owners(monkeypatch)
    with Listener(broker.port, RESULT) as listener, Device(unlimited) as device:
        device.wait_connected()
        while threading.current_thread().name not in owners.senders:
            device.sink.handle(classified(seq=len(owners.senders)))
            listener.wait_for(RESULT)
            listener.clear()
            assert len(owners.senders) < 100


def test_one_thread_at_a_time_uses_the_connection_and_results_stay_in_order(
    unlimited: MqttOptions, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = Owners(monkeypatch)
    with Listener(broker.port, f"{BASE}/#") as listener, Device(unlimited) as device:
        device.wait_connected()
        for seq in range(1500):
            device.sink.handle(classified(seq=seq))
            if seq % 10 == 0:
                device.sink.handle(label_changed(f"label-{seq}", seq=seq))
                listener.client.publish(f"{BASE}/request/undo", b"{}", 1)
        listener.wait_for(f"{BASE}/label", b"label-1490")
        wait_until(lambda: len(device.commands) == 150)
    seqs = [message.json()["seq"] for message in list(listener.messages) if message.topic == RESULT]
    assert owners.without_owner == []
    assert seqs == sorted(set(seqs))


def test_results_survive_a_connection_that_breaks_while_they_are_sent(
    unlimited: MqttOptions, broker: Mosquitto
) -> None:
    with (
        Proxy(broker.port) as network,
        Listener(broker.port, RESULT) as listener,
        Device(msgspec.structs.replace(unlimited, port=network.port)) as device,
    ):
        for attempt in range(5):
            device.wait_connected()
            network.cut()
            for seq in range(200):
                device.sink.handle(classified(seq=1000 * attempt + seq))
        device.wait_connected(expected=False)
        device.wait_connected()
        listener.clear()
        device.sink.handle(classified(seq=9999))
        assert listener.wait_for(RESULT).json()["seq"] == 9999

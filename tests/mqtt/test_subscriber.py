"""A subscriber for programs beside the daemon, at a real broker."""

from __future__ import annotations

import socket

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.mqtt.subscriber import Subscriber
from tests.harness.mosquitto import Mosquitto
from tests.harness.unreliable_proxy import Proxy

_PINGREQ = b"\xc0\x00"


class _PingCounter(Proxy):
    """Counts the keep-alives of the client."""

    pings = 0

    def _filter(self, sock: socket.socket, data: bytes) -> bytes:
        self.pings += sock in self._clients and data == _PINGREQ
        return data


def test_keep_alives_are_sent_during_a_wait_longer_than_their_interval(broker: Mosquitto) -> None:
    with _PingCounter(broker.port) as proxy:
        options = MqttOptions(host=broker.host, port=proxy.port, keepalive_s=1)
        with Subscriber(options, "topic/without/messages") as subscriber:
            assert subscriber.receive(timeout_s=2.5) is None
            assert proxy.pings

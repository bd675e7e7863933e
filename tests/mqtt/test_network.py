"""Messages while the network between device and broker fails."""

from __future__ import annotations

import json
import socketserver
import threading
import time
import tracemalloc

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import Device, classified, label_changed, wait_until
from tests.harness.unreliable_proxy import Proxy

BASE = "edge_daemon/tray-1"


def at(port: int, **settings: object) -> MqttOptions:
    return MqttOptions(host="127.0.0.1", port=port, max_reconnect_s=0.1, **settings)  # type: ignore[arg-type]


def pressed(listener: Listener) -> list[int]:
    """Return the numbers of the received presses, in order."""
    heard = [json.loads(text) for text in listener.texts(f"{BASE}/event")]
    return [int(event["name"]) for event in heard if event["event_type"] == "button"]


def test_a_silently_cut_connection_is_detected_and_replaced(broker: Mosquitto) -> None:
    with Proxy(broker.port) as proxy, Device(at(proxy.port, keepalive_s=1)) as device:
        device.wait_connected()
        with Listener(broker.port) as listener:
            proxy.swallow(True)
            device.sink.handle(label_changed("cat"))
            listener.wait_for(f"{BASE}/availability", b"offline")
            device.wait_connected(False)
            assert "cat" not in listener.texts(f"{BASE}/label")
            proxy.swallow(False)
            proxy.cut()
            listener.wait_for(f"{BASE}/label", b"cat")
            wait_until(lambda: listener.texts(f"{BASE}/availability")[-1] == "online")


def test_no_event_is_lost_over_forced_disconnects(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    disconnects, number = 15, 0
    with (
        Listener(broker.port) as listener,
        Proxy(broker.port) as proxy,
        Device(at(proxy.port)) as device,
    ):
        for _ in range(disconnects):
            device.wait_connected()
            for _ in range(20):
                device.sink.handle(events.Button(str(number), "press"))
                number += 1
            proxy.cut()
            device.wait_connected(False)
            device.sink.handle(events.Button(str(number), "press"))
            number += 1
        wait_until(lambda: number - 1 in pressed(listener))
        heard = pressed(listener)
    assert sorted(set(heard)) == list(range(number))
    first_heard = list(dict.fromkeys(heard))
    assert first_heard == sorted(first_heard)
    assert len(heard) - number <= 20 * disconnects
    assert "hangs up at" not in caplog.text


def test_a_slow_broker_blocks_nothing_and_fills_no_memory(broker: Mosquitto) -> None:
    with Proxy(broker.port) as proxy, Device(at(proxy.port, max_queued=100)) as device:
        device.wait_connected()
        proxy.delay(0.2)
        tracemalloc.start()
        begun = time.perf_counter()
        for number in range(3000):
            device.sink.handle(classified(seq=number))
            device.sink.handle(label_changed(str(number), seq=number))
        elapsed_s = time.perf_counter() - begun
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert elapsed_s < 60  # 600 s, if each waited for the broker
        assert grown < 2_000_000
        proxy.delay(0.0)
        with Listener(broker.port) as listener:
            listener.wait_for(f"{BASE}/label", b"2999")


def test_two_devices_with_one_id_are_reported_in_the_log(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with Device(at(broker.port)) as first:
        first.wait_connected()
        with Device(at(broker.port)):
            wait_until(lambda: f"another device publishes at {BASE}/info" in caplog.text)


class _Chatter(socketserver.BaseRequestHandler):
    """Answers like a web server that receives no HTTP."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_server_that_is_no_broker_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Chatter) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with Device(at(server.server_address[1])) as device:
            wait_until(lambda: "is no MQTT broker; check mqtt.host" in caplog.text)
            assert not device.sink.connected
        server.shutdown()

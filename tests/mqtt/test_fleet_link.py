"""The fleet's messages at a real broker, including invalid and hostile ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.fleet.chunks import CHUNK_BYTES, pack_records, unpack_records
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import FleetMessage, RecordSigner
from edge_daemon.mqtt.bridge import build_bridge
from edge_daemon.mqtt.fleet_limits import CALM_S
from edge_daemon.mqtt.fleet_link import DEFERRAL_S, FleetLink
from tests.harness.fleet_harness import SIGNER, example
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import TestClock, info, wait_until
from tests.harness.refusing_broker import RefusingProxy
from tests.harness.unreliable_proxy import Proxy

BASE = "edge_daemon/fleet/sorters"


class FleetDevice:
    """A started bridge with a fleet link and its receive queue; a context manager that stops it."""

    def __init__(
        self,
        broker: Mosquitto,
        name: str,
        signer: RecordSigner | None = SIGNER,
        receive_queue: ReceiveQueue | None = None,
        former: Mapping[str, int] = MappingProxyType({}),
        **settings: object,
    ) -> None:
        self.name = name
        self.signer = signer
        self.receive_queue = receive_queue or ReceiveQueue()
        self.crashes: list[BaseException] = []
        place = {"host": broker.host, "port": broker.port, "max_reconnect_s": 1} | settings
        options = MqttOptions(**place)  # type: ignore[arg-type]
        self.now_s = 1000.0
        link = FleetLink(name, signer, self.receive_queue, former=former, monotonic=lambda: self.now_s)
        self.sink = build_bridge(
            options, info(name), lambda command: True, TestClock(), self.crashes.append, fleet=link
        )

    def __enter__(self) -> FleetDevice:
        self.sink.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sink.stop()
        assert self.crashes == []

    def publish(self, *numbers: int, number: int | None = None, size: int = 8) -> None:
        """Publish these examples and a live set of them."""
        assert self.signer is not None
        records = {
            each: self.signer.sign_example(self.name, each, example(each, size=size)) for each in numbers
        }
        live_set = LiveSet(max(numbers, default=0) + 1 if number is None else number, frozenset(numbers))
        self.sink.handle(events.FleetSnapshot(self.signer.sign_live_set(self.name, live_set), records))

    def wait_until_subscribed(self, listener: Listener) -> None:
        """Return once a message of the group is received: the connection exists before its subscriptions."""
        listener.publish(
            f"{BASE}/early/0", pack_records([SIGNER.sign_example("early", 1, example(1))]), retain=True
        )
        self.messages(1)

    def messages(self, count: int) -> list[FleetMessage]:
        """Return at least `count` messages from the queue."""
        received: list[FleetMessage] = []

        def enough() -> bool:
            while (message := self.receive_queue.pop()) is not None:
                received.append(message)
            return len(received) >= count

        wait_until(enough)
        return received


def numbers(messages: list[FleetMessage]) -> set[int]:
    return {received.number for message in messages for received in message.examples}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_new_device_receives_the_retained_messages_of_offline_peers(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener:
        with FleetDevice(broker, "north") as north:
            north.publish(1, 2, 3)
            listener.wait_for(f"{BASE}/north/0")
        with FleetDevice(broker, "east") as east:
            received = east.messages(2)
    assert numbers(received) == {1, 2, 3}
    assert [message.live_set for message in received if message.live_set] == [
        LiveSet(4, frozenset({1, 2, 3}))
    ]


def test_a_new_example_rewrites_one_chunk_and_the_live_set_and_a_deleted_one_is_cleared(
    broker: Mosquitto,
) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener, FleetDevice(broker, "north") as north:
        north.publish(*range(1, 31), size=1280)
        wait_until(lambda: len({message.topic for message in listener.messages}) == 4)
        assert all(len(message.payload) <= CHUNK_BYTES for message in listener.messages)
        listener.clear()
        north.publish(*range(1, 32), size=1280)
        wait_until(lambda: len(listener.messages) == 2)
        assert [message.topic for message in listener.messages] == [f"{BASE}/north/roll", f"{BASE}/north/2"]
        listener.clear()
        north.publish(*range(1, 12), number=40, size=1280)
        wait_until(lambda: len(listener.messages) == 3)
        assert listener.messages[0].topic == f"{BASE}/north/roll"
        assert {message.payload for message in listener.messages[1:]} == {b""}


def test_messages_are_republished_after_the_broker_lost_them(broker: Mosquitto) -> None:
    with FleetDevice(broker, "north") as north:
        north.publish(1, 2)
        with Listener(broker.port, f"{BASE}/#") as listener:
            listener.wait_for(f"{BASE}/north/0")
        broker.kill()
        wait_until(lambda: not north.sink.connected)
        broker.start()
        with FleetDevice(broker, "east") as east:
            assert numbers(east.messages(2)) == {1, 2}


def test_after_a_reconnect_retained_messages_are_not_sent_again(broker: Mosquitto) -> None:
    with (
        Proxy(broker.port) as network,
        Listener(broker.port, f"{BASE}/#") as listener,
        FleetDevice(broker, "north", port=network.port) as north,
    ):
        north.publish(*range(1, 201), size=1280)
        wait_until(lambda: len(listener.messages) == 20)
        listener.clear()
        network.cut()
        wait_until(lambda: not north.sink.connected)
        wait_until(lambda: north.sink.connected)
        north.publish(*range(1, 202), size=1280)
        listener.wait_for(f"{BASE}/north/18")
        assert len(listener.messages) < 12


@pytest.mark.parametrize("limit", ["max_packet_size", "message_size_limit"], ids=["announced", "found"])
def test_chunks_stay_within_the_broker_s_packet_limit(limit: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Mosquitto(settings=f"{limit} 4000") as broker,
        Listener(broker.port, f"{BASE}/#") as listener,
        FleetDevice(broker, "north") as north,
    ):
        north.publish(*range(1, 8), size=1280)
        with FleetDevice(broker, "east") as east:
            received = east.messages(5)
            while numbers(received) != set(range(1, 8)):
                received += east.messages(1)
        wait_until(lambda: len(listener.messages) >= 5)
        assert max(len(message.payload) for message in listener.messages) <= 4000
        assert "takes no message" not in caplog.text


def test_a_record_above_the_packet_limit_is_logged_and_skipped(caplog: pytest.LogCaptureFixture) -> None:
    with (
        Mosquitto(settings="max_packet_size 1000") as broker,
        Listener(broker.port, f"{BASE}/#") as listener,
        FleetDevice(broker, "north") as north,
    ):
        north.publish(1, size=1280)
        listener.wait_for(f"{BASE}/north/roll")
        wait_until(lambda: re.search(f"takes no message of .* at {BASE}/north/0", caplog.text) is not None)
        assert north.sink.connected


def test_a_message_that_the_broker_refuses_for_now_is_sent_again(broker: Mosquitto) -> None:
    with RefusingProxy(broker.port) as proxy, Listener(broker.port, f"{BASE}/#") as listener:
        proxy.refuse_publications(0x83, ending="/north/0")  # as RabbitMQ without a majority
        with FleetDevice(broker, "north", port=proxy.port) as north:
            north.publish(1)
            wait_until(lambda: proxy.refused > 0)
            proxy.refuse_publications(None)

            def arrives() -> bool:
                north.now_s += DEFERRAL_S
                return any(message.topic == f"{BASE}/north/0" for message in listener.messages)

            wait_until(arrives)


def test_leaving_the_group_clears_the_retained_messages(broker: Mosquitto) -> None:
    with FleetDevice(broker, "north") as north, FleetDevice(broker, "east") as east:
        north.publish(1)
        east.publish(2)
        with Listener(broker.port, f"{BASE}/#") as listener:
            for topic in ("north/0", "north/roll", "east/0", "east/roll"):
                listener.wait_for(f"{BASE}/{topic}")
    with Listener(broker.port, f"{BASE}/north/#") as listener:
        listener.wait_for(f"{BASE}/north/roll")
        with FleetDevice(broker, "north", signer=None):
            listener.wait_for(f"{BASE}/north/roll", b"")
            listener.wait_for(f"{BASE}/north/0", b"")
    with FleetDevice(broker, "south") as south:
        assert {message.device for message in south.messages(2)} == {"east"}


def test_stale_messages_of_another_group_or_an_earlier_run_are_cleared(broker: Mosquitto) -> None:
    with Listener(broker.port, "edge_daemon/fleet/#") as listener:
        listener.publish("edge_daemon/fleet/old/north/0", b"anything", retain=True)
        listener.publish(f"{BASE}/north/7", b"anything", retain=True)
        with FleetDevice(broker, "north") as north:
            north.publish(1)
            listener.wait_for("edge_daemon/fleet/old/north/0", b"")
            listener.wait_for(f"{BASE}/north/7", b"")
            assert unpack_records(listener.wait_for(f"{BASE}/north/0").payload)


def test_our_own_later_live_set_from_the_broker_is_queued(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener:
        newer = SIGNER.sign_live_set("north", LiveSet(90, frozenset({7})))
        listener.publish(f"{BASE}/north/roll", pack_records([newer]), retain=True)
        with FleetDevice(broker, "north") as north:
            [message] = north.messages(1)
    assert (message.device, message.live_set) == ("north", LiveSet(90, frozenset({7})))


def test_records_signed_with_another_key_are_rejected_and_logged_once(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    outsider = RecordSigner(b"another key " * 3, SIGNER.group, SIGNER.space)
    with (
        FleetDevice(broker, "north") as north,
        FleetDevice(broker, "thief", signer=outsider) as impostor,
    ):
        for count in range(1, 6):
            impostor.publish(*range(1, count + 1))
        wait_until(lambda: north.receive_queue.rejected.get("signature", 0) >= 2)
        assert north.receive_queue.pop() is None
    texts = [text for text in warnings(caplog) if "another key" in text]
    assert len([text for text in texts if "'thief'" in text]) == 1


def test_a_message_that_no_device_writes_is_logged_in_words(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    with Listener(broker.port) as other, FleetDevice(broker, "north"):
        other.publish(f"{BASE}/south/0", b"x", retain=True)
        text = "messages of 'south' to the fleet can't be read; does another program write there? (malformed)"
        wait_until(lambda: text in warnings(caplog))


def test_a_flood_without_the_key_is_dropped_and_a_peer_is_still_received(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    bomb = pack_records([b""] * 900)
    with Listener(broker.port, f"{BASE}/#") as listener, FleetDevice(broker, "north") as north:
        north.wait_until_subscribed(listener)
        for number in range(600):
            listener.publish(f"{BASE}/nokey{number % 50}/0", bomb)
        wait_until(lambda: sum(north.receive_queue.rejected.values()) >= 600)
        assert north.receive_queue.rejected["flood"] > 400
        listener.publish(
            f"{BASE}/east/0", pack_records([SIGNER.sign_example("east", 5, example(5))]), retain=True
        )
        wait_until(lambda: sum(north.receive_queue.rejected.values()) >= 601)
        north.now_s += CALM_S
        assert numbers(north.messages(2)) == {1, 5}, "the retained messages are received again"
    assert len(warnings(caplog)) <= 2


def test_invalid_fleet_topics_are_ignored(broker: Mosquitto) -> None:
    long = "x" * 30_000
    with Listener(broker.port, f"{BASE}/#") as listener, FleetDevice(broker, "north") as north:
        north.wait_until_subscribed(listener)
        good = pack_records([SIGNER.sign_example("east", 5, example(5))])
        for topic in (f"{long}/0", f"east/{long}", "east/0/1", "east/-1", "north/rolls", f"north/{long}"):
            listener.publish(f"{BASE}/{topic}", good)
        listener.publish(f"{BASE}/east/1", good)
        assert [message.device for message in north.messages(1)] == ["east"]
        assert north.receive_queue.rejected == {}


def test_a_forged_message_at_our_topic_is_overwritten_at_once(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener, FleetDevice(broker, "north") as north:
        north.publish(1)
        true = listener.wait_for(f"{BASE}/north/0").payload
        listener.clear()
        listener.publish(f"{BASE}/north/0", b"forged", retain=True)
        listener.wait_for(f"{BASE}/north/0", true)


def test_a_record_at_another_device_s_topic_is_rejected(broker: Mosquitto) -> None:
    with FleetDevice(broker, "north") as north, Listener(broker.port, f"{BASE}/#") as listener:
        north.publish(9)
        listener.wait_for(f"{BASE}/north/0")
        copied = SIGNER.sign_example("east", 5, example(5))
        listener.publish(f"{BASE}/south/0", pack_records([copied]))
        wait_until(lambda: north.receive_queue.rejected == {"device": 1})
        assert north.receive_queue.pop() is None


def test_messages_above_the_queue_limit_are_requested_again(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener, FleetDevice(broker, "north") as north:
        north.publish(*range(1, 40), size=1280)
        wait_until(lambda: len(listener.messages) == 5)
        with FleetDevice(broker, "east", receive_queue=ReceiveQueue(max_queued=1)) as east:
            assert numbers(east.messages(5)) == set(range(1, 40))


def test_the_shipped_acl_allows_sharing_and_forbids_writing_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGE_DAEMON_MQTT_PASSWORD", "secret")
    users = dict.fromkeys(["north", "east", "mallory"], "secret")
    acl = (Path(__file__).resolve().parents[2] / "config" / "mosquitto-acl.conf").read_text()
    with Mosquitto(users=users, acl=acl) as broker:
        outsider = Listener(
            broker.port, f"{BASE}/#", lambda client: client.username_pw_set("mallory", "secret")
        )
        with (
            outsider,
            FleetDevice(broker, "north", username="north") as north,
            FleetDevice(broker, "east", username="east") as east,
        ):
            north.publish(1)
            assert numbers(east.messages(2)) == {1}
            outsider.publish(f"{BASE}/north/0", b"", retain=True)
            outsider.publish(f"{BASE}/south/0", pack_records([SIGNER.sign_example("south", 1, example(1))]))
            north.publish(1, 2)
            assert {message.device for message in east.messages(2)} == {"north"}
        with Listener(
            broker.port, f"{BASE}/#", lambda client: client.username_pw_set("mallory", "secret")
        ) as late:
            assert late.wait_for(f"{BASE}/north/0").payload

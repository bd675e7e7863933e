"""The fleet's messages at a real broker, whatever comes over its topics."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from types import TracebackType

import pytest

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain import events
from edge_daemon.fleet.chunks import CHUNK_BYTES, packed, unpacked
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.messages import FleetMessage
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.fleet.records import RecordSigner
from edge_daemon.mqtt.bridge import MqttBridge
from edge_daemon.mqtt.fleet_link import CALM_S, FleetLink
from tests.harness.fleet_harness import SEAL, example
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import TestClock, info, wait_until
from tests.harness.unreliable_proxy import Proxy

BASE = "edge_daemon/fleet/sorters"


class Member:
    """A sink in the fleet, and what it hears; a context manager that stops it."""

    def __init__(
        self,
        broker: Mosquitto,
        name: str,
        seal: RecordSigner | None = SEAL,
        inbox: ReceiveQueue | None = None,
        **settings: object,
    ) -> None:
        self.name = name
        self.seal = seal
        self.inbox = inbox or ReceiveQueue()
        self.crashes: list[BaseException] = []
        place = {"host": broker.host, "port": broker.port, "max_reconnect_s": 1} | settings
        options = MqttOptions(**place)  # type: ignore[arg-type]
        self.now_s = 1000.0
        link = FleetLink(name, seal, self.inbox, monotonic=lambda: self.now_s)
        self.sink = MqttBridge(
            options, info(name), lambda command: True, TestClock(), self.crashes.append, fleet=link
        )

    def __enter__(self) -> Member:
        self.sink.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sink.stop()
        assert self.crashes == []

    def tell(self, *numbers: int, roll: int | None = None, size: int = 8) -> None:
        """Tell the group that just these examples live."""
        assert self.seal is not None
        records = {
            number: self.seal.sign_example(self.name, number, example(number, size=size))
            for number in numbers
        }
        living = LiveSet(roll or max(numbers, default=0) + 1, frozenset(numbers))
        self.sink.handle(events.FleetSnapshot(self.seal.sign_roll(self.name, living), records))

    def parcels(self, count: int) -> list[FleetMessage]:
        """Wait for so many parcels and return them."""
        heard: list[FleetMessage] = []

        def enough() -> bool:
            while (parcel := self.inbox.take()) is not None:
                heard.append(parcel)
            return len(heard) >= count

        wait_until(enough)
        return heard


def numbers(parcels: list[FleetMessage]) -> set[int]:
    return {told.number for parcel in parcels for told in parcel.examples}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_newcomer_hears_all_from_the_broker_though_the_others_sleep(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener:
        with Member(broker, "north") as north:
            north.tell(1, 2, 3)
            listener.wait_for(f"{BASE}/north/0")
        with Member(broker, "east") as east:
            heard = east.parcels(2)
    assert numbers(heard) == {1, 2, 3}
    assert [parcel.roll for parcel in heard if parcel.roll] == [LiveSet(4, frozenset({1, 2, 3}))]


def test_a_press_rewrites_one_chunk_and_the_roll_and_a_removed_example_leaves_the_broker(
    broker: Mosquitto,
) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener, Member(broker, "north") as north:
        north.tell(*range(1, 31), size=1280)
        wait_until(lambda: len({message.topic for message in listener.heard}) == 4)
        assert all(len(message.payload) <= CHUNK_BYTES for message in listener.heard)
        listener.forget()
        north.tell(*range(1, 32), size=1280)
        wait_until(lambda: len(listener.heard) == 2)
        assert [message.topic for message in listener.heard] == [f"{BASE}/north/roll", f"{BASE}/north/2"]
        listener.forget()
        north.tell(*range(1, 12), roll=40, size=1280)
        wait_until(lambda: len(listener.heard) == 3)
        assert listener.heard[0].topic == f"{BASE}/north/roll"
        assert {message.payload for message in listener.heard[1:]} == {b""}


def test_a_broker_that_forgot_is_told_again(broker: Mosquitto) -> None:
    with Member(broker, "north") as north:
        north.tell(1, 2)
        with Listener(broker.port, f"{BASE}/#") as listener:
            listener.wait_for(f"{BASE}/north/0")
        broker.kill()
        wait_until(lambda: not north.sink.connected)
        broker.start()
        with Member(broker, "east") as east:
            assert numbers(east.parcels(2)) == {1, 2}


def test_after_a_cut_what_the_broker_still_holds_is_not_sent_again(broker: Mosquitto) -> None:
    with (
        Proxy(broker.port) as network,
        Listener(broker.port, f"{BASE}/#") as listener,
        Member(broker, "north", port=network.port) as north,
    ):
        north.tell(*range(1, 201), size=1280)
        wait_until(lambda: len(listener.heard) == 20)
        listener.forget()
        network.cut()
        wait_until(lambda: not north.sink.connected)
        wait_until(lambda: north.sink.connected)
        north.tell(*range(1, 202), size=1280)
        listener.wait_for(f"{BASE}/north/18")
        assert len(listener.heard) < 12


def test_chunks_keep_within_what_the_broker_takes(caplog: pytest.LogCaptureFixture) -> None:
    with (
        Mosquitto(settings="max_packet_size 4000") as broker,
        Listener(broker.port, f"{BASE}/#") as listener,
        Member(broker, "north") as north,
    ):
        north.tell(*range(1, 8), size=1280)
        with Member(broker, "east") as east:
            assert numbers(east.parcels(5)) == set(range(1, 8))
        wait_until(lambda: len(listener.heard) >= 5)
        assert max(len(message.payload) for message in listener.heard) <= 4000
        assert "takes no message" not in caplog.text


def test_a_record_that_fits_no_message_is_said_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with (
        Mosquitto(settings="max_packet_size 1000") as broker,
        Listener(broker.port, f"{BASE}/#") as listener,
        Member(broker, "north") as north,
    ):
        north.tell(1, size=1280)
        listener.wait_for(f"{BASE}/north/roll")
        wait_until(lambda: re.search(f"takes no message of .* at {BASE}/north/0", caplog.text) is not None)
        assert north.sink.connected


def test_leaving_the_group_clears_what_stands_at_the_broker(broker: Mosquitto) -> None:
    with Member(broker, "north") as north, Member(broker, "east") as east:
        north.tell(1)
        east.tell(2)
        with Listener(broker.port, f"{BASE}/#") as listener:
            for topic in ("north/0", "north/roll", "east/0", "east/roll"):
                listener.wait_for(f"{BASE}/{topic}")
    with Listener(broker.port, f"{BASE}/north/#") as listener:
        listener.wait_for(f"{BASE}/north/roll")
        with Member(broker, "north", seal=None):
            listener.wait_for(f"{BASE}/north/roll", b"")
            listener.wait_for(f"{BASE}/north/0", b"")
    with Member(broker, "south") as south:
        assert {parcel.device for parcel in south.parcels(2)} == {"east"}


def test_what_another_group_or_an_earlier_life_left_in_our_name_is_cleared(broker: Mosquitto) -> None:
    with Listener(broker.port, "edge_daemon/fleet/#") as listener:
        listener.publish("edge_daemon/fleet/old/north/0", b"anything", retain=True)
        listener.publish(f"{BASE}/north/7", b"anything", retain=True)
        with Member(broker, "north") as north:
            north.tell(1)
            listener.wait_for("edge_daemon/fleet/old/north/0", b"")
            listener.wait_for(f"{BASE}/north/7", b"")
            assert unpacked(listener.wait_for(f"{BASE}/north/0").payload)


def test_our_own_later_roll_at_the_broker_is_handed_on(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener:
        later = SEAL.sign_roll("north", LiveSet(90, frozenset({7})))
        listener.publish(f"{BASE}/north/roll", packed([later]), retain=True)
        with Member(broker, "north") as north:
            [parcel] = north.parcels(1)
    assert (parcel.device, parcel.roll) == ("north", LiveSet(90, frozenset({7})))


def test_another_key_teaches_nothing_and_is_said_once(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = RecordSigner(b"another key " * 3, SEAL.group, SEAL.space)
    with Member(broker, "north") as north, Member(broker, "thief", seal=stranger) as thief:
        for count in range(1, 6):
            thief.tell(*range(1, count + 1))
        wait_until(lambda: north.inbox.refused.get("signature", 0) >= 2)
        assert north.inbox.take() is None
    texts = [text for text in warnings(caplog) if "another key" in text]
    assert len([text for text in texts if "'thief'" in text]) == 1


def test_a_flood_without_the_key_is_dropped_unread_and_a_peer_is_still_heard(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    bomb = packed([b""] * 900)
    with Listener(broker.port, f"{BASE}/#") as listener, Member(broker, "north") as north:
        wait_until(lambda: north.sink.connected)
        for number in range(600):
            listener.publish(f"{BASE}/nokey{number % 50}/0", bomb)
        wait_until(lambda: sum(north.inbox.refused.values()) >= 600)
        assert north.inbox.refused["flood"] > 400
        listener.publish(f"{BASE}/east/0", packed([SEAL.sign_example("east", 5, example(5))]), retain=True)
        wait_until(lambda: sum(north.inbox.refused.values()) >= 601)
        north.now_s += CALM_S
        assert numbers(north.parcels(1)) == {5}
    assert len(warnings(caplog)) <= 2


def test_topics_that_no_device_has_are_passed_over(broker: Mosquitto) -> None:
    long = "x" * 30_000
    with Listener(broker.port, f"{BASE}/#") as listener, Member(broker, "north") as north:
        wait_until(lambda: north.sink.connected)
        good = packed([SEAL.sign_example("east", 5, example(5))])
        for topic in (f"{long}/0", f"east/{long}", "east/0/1", "east/-1", "north/rolls", f"north/{long}"):
            listener.publish(f"{BASE}/{topic}", good)
        listener.publish(f"{BASE}/east/1", good)
        assert [parcel.device for parcel in north.parcels(1)] == ["east"]
        assert north.inbox.refused == {}


def test_what_somebody_else_writes_at_our_topics_is_put_right_at_once(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener, Member(broker, "north") as north:
        north.tell(1)
        true = listener.wait_for(f"{BASE}/north/0").payload
        listener.forget()
        listener.publish(f"{BASE}/north/0", b"forged", retain=True)
        listener.wait_for(f"{BASE}/north/0", true)


def test_no_device_can_speak_in_another_s_name(broker: Mosquitto) -> None:
    with Member(broker, "north") as north, Listener(broker.port, f"{BASE}/#") as listener:
        north.tell(9)
        listener.wait_for(f"{BASE}/north/0")
        copied = SEAL.sign_example("east", 5, example(5))
        listener.publish(f"{BASE}/south/0", packed([copied]))
        wait_until(lambda: north.inbox.refused == {"device": 1})
        assert north.inbox.take() is None


def test_what_found_no_room_is_asked_for_again(broker: Mosquitto) -> None:
    with Listener(broker.port, f"{BASE}/#") as listener, Member(broker, "north") as north:
        north.tell(*range(1, 40), size=1280)
        wait_until(lambda: len(listener.heard) == 5)
        with Member(broker, "east", inbox=ReceiveQueue(max_waiting=1)) as east:
            assert numbers(east.parcels(5)) == set(range(1, 40))


def test_by_the_shipped_acl_devices_share_and_nobody_writes_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGE_DAEMON_MQTT_PASSWORD", "secret")
    users = dict.fromkeys(["north", "east", "mallory"], "secret")
    acl = (Path(__file__).resolve().parents[2] / "config" / "mosquitto-acl.conf").read_text()
    with Mosquitto(users=users, acl=acl) as broker:
        stranger = Listener(
            broker.port, f"{BASE}/#", lambda client: client.username_pw_set("mallory", "secret")
        )
        with (
            stranger,
            Member(broker, "north", username="north") as north,
            Member(broker, "east", username="east") as east,
        ):
            north.tell(1)
            assert numbers(east.parcels(2)) == {1}
            stranger.publish(f"{BASE}/north/0", b"", retain=True)
            stranger.publish(f"{BASE}/south/0", packed([SEAL.sign_example("south", 1, example(1))]))
            north.tell(1, 2)
            assert {parcel.device for parcel in east.parcels(2)} == {"north"}
        with Listener(
            broker.port, f"{BASE}/#", lambda client: client.username_pw_set("mallory", "secret")
        ) as late:
            assert late.wait_for(f"{BASE}/north/0").payload

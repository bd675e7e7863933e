"""A device with another id than before, at a real broker."""

from __future__ import annotations

from edge_daemon.fleet.chunks import pack_records
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.records import FleetMessage
from tests.harness.fleet_harness import SIGNER, example
from tests.harness.mosquitto import Mosquitto
from tests.harness.mqtt_client import Listener
from tests.harness.mqtt_harness import wait_until
from tests.mqtt.test_fleet_link import BASE, FleetDevice, numbers


def live_sets(messages: list[FleetMessage], device: str) -> list[LiveSet | None]:
    return [message.live_set for message in messages if message.device == device and message.live_set]


def test_the_examples_of_a_former_id_are_deleted_at_the_peers_and_not_received(broker: Mosquitto) -> None:
    with FleetDevice(broker, "old") as old, Listener(broker.port, f"{BASE}/#") as listener:
        old.publish(1, 2, 3)
        listener.wait_for(f"{BASE}/old/0")
    with (
        FleetDevice(broker, "new", former={"old": 5}) as new,
        Listener(broker.port, f"{BASE}/#") as listener,
    ):
        new.publish(6, 7)
        listener.wait_for(f"{BASE}/new/0")
        listener.wait_for(f"{BASE}/old/0", b"")
        assert new.receive_queue.pop() is None
        assert new.receive_queue.rejected == {}
    with FleetDevice(broker, "east") as east:
        received = east.messages(3)
    assert numbers(received) == {6, 7}
    assert live_sets(received, "old") == [LiveSet(5, frozenset())]


def test_a_broker_that_lost_its_messages_receives_the_live_set_of_a_former_id_again(
    broker: Mosquitto,
) -> None:
    with FleetDevice(broker, "new", former={"old": 5}) as new:
        new.publish(6)
        with Listener(broker.port, f"{BASE}/#") as listener:
            listener.wait_for(f"{BASE}/old/roll")
        broker.kill()
        wait_until(lambda: not new.sink.connected)
        broker.start()
        with Listener(broker.port, f"{BASE}/#") as listener:
            listener.wait_for(f"{BASE}/old/roll")


def test_another_device_that_takes_a_former_id_is_a_peer(broker: Mosquitto) -> None:
    with (
        Listener(broker.port, f"{BASE}/#") as listener,
        FleetDevice(broker, "new", former={"old": 5}) as new,
    ):
        new.publish(6)
        listener.wait_for(f"{BASE}/old/roll")
        with FleetDevice(broker, "old") as other:
            [own] = live_sets(other.messages(1), "old")
            assert own == LiveSet(5, frozenset()), "it renumbers its examples above"
            other.publish(8, 9)
            received = new.messages(2)
            assert numbers(received) == {8, 9}
            assert live_sets(received, "old") == [LiveSet(10, frozenset({8, 9}))]


def test_of_a_message_at_a_former_id_only_later_examples_are_received(broker: Mosquitto) -> None:
    with (
        Listener(broker.port, f"{BASE}/#") as listener,
        FleetDevice(broker, "new", former={"old": 5}) as new,
    ):
        new.wait_until_subscribed(listener)
        records = [SIGNER.sign_example("old", number, example(number)) for number in (4, 5, 6)]
        listener.publish(f"{BASE}/old/0", pack_records(records))
        assert numbers(new.messages(1)) == {6}

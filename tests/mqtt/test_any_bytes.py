"""Any bytes on any subscribed topic: never a crash, never an unrequested command."""

from __future__ import annotations

import contextlib
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from edge_daemon.config.mqtt import DiscoveryOptions, MqttOptions
from edge_daemon.domain.errors import LabelError
from edge_daemon.domain.labels import check_label
from edge_daemon.fleet.chunks import pack_records
from edge_daemon.fleet.receive_queue import ReceiveQueue
from edge_daemon.mqtt.bridge import build_bridge
from edge_daemon.mqtt.client import Connection
from edge_daemon.mqtt.discovery_publisher import DiscoveryPublisher
from edge_daemon.mqtt.fleet_link import FleetLink
from edge_daemon.mqtt.fleet_topics import fleet_topic
from edge_daemon.mqtt.home_assistant import Discovery
from edge_daemon.mqtt.incoming import DuplicateDeviceDetector
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.request_handler import RequestHandler
from edge_daemon.mqtt.requests import REQUESTS, Request
from edge_daemon.mqtt.topics import device_topics
from tests.harness.fleet_harness import SIGNER, example
from tests.harness.mqtt_harness import TestClock, info, wait_until

TOPICS = device_topics("b", "x", ["frame"])
DISCOVERY = Discovery(TOPICS, info("x"), "homeassistant")
ANNOUNCED = DISCOVERY.announcement(["cat"], {}).payload
FLEET = [fleet_topic(SIGNER.group, device, name) for device in ("x", "peer") for name in ("roll", "0", "a")]
SUBSCRIBED = [
    DISCOVERY.topic,
    DISCOVERY.birth_topic,
    TOPICS.info,
    *map(TOPICS.request, REQUESTS),
    *FLEET,
]
FORGED = pack_records([SIGNER.sign_example("outsider", 1, example(1)), b"roll"])


def damage(payload: bytes) -> st.SearchStrategy[bytes]:
    """Return payloads of ours with one byte replaced by up to three others."""
    return st.tuples(st.integers(0, len(payload)), st.binary(max_size=3)).map(
        lambda cut: payload[: cut[0]] + cut[1] + payload[cut[0] + 1 :]
    )


damaged = damage(ANNOUNCED) | damage(FORGED)
incoming = st.builds(
    Incoming,
    st.sampled_from(SUBSCRIBED) | st.text(),
    st.binary(min_size=1) | damaged,
    st.booleans(),
    st.none() | st.text(),
    st.none() | st.binary(),
)


def _label(payload: bytes) -> str | None:
    """Return the label that a payload is as plain text, which some requests accept."""
    with contextlib.suppress(UnicodeDecodeError, LabelError):
        return check_label(payload.decode())
    return None


@given(st.lists(incoming, max_size=5), st.booleans())
def test_any_bytes_on_any_topic_cause_no_crash_and_no_command(
    messages: list[Incoming], enabled: bool
) -> None:
    commands: list[Request] = []

    def submit(command: Request) -> bool:
        commands.append(command)
        return True

    requests = RequestHandler(TOPICS, submit, per_s=0.0)
    discovery = DiscoveryPublisher(DISCOVERY, enabled, Random(1))
    discovery.set_labels(("cat",))
    duplicates = DuplicateDeviceDetector(TOPICS.info, "mine")
    receive_queue = ReceiveQueue()
    fleet = FleetLink("x", SIGNER, receive_queue)
    for message in messages:
        requests.handle(message, 0.0)
        discovery.handle(message, 0.0)
        discovery.pop_due(20.0)
        duplicates.check(message)
        fleet.handle(message)
        fleet.next(20)
    labels = [text for message in messages for text in (_label(message.payload),) if text is not None]
    assert [each for each in commands if getattr(each, "label", None) not in labels] == []
    assert receive_queue.pop() is None


def test_the_topics_above_are_all_that_a_device_subscribes_to(
    options: MqttOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribed: list[str] = []
    subscribe = Connection.subscribe

    def note(connection: Connection, topic_filter: str, qos: int) -> None:
        subscribed.append(topic_filter)
        subscribe(connection, topic_filter, qos)

    monkeypatch.setattr(Connection, "subscribe", note)
    settings = msgspec.structs.replace(options, base_topic="b", discovery=DiscoveryOptions(enabled=True))
    link = FleetLink("x", SIGNER, ReceiveQueue())
    crashes: list[BaseException] = []
    sink = build_bridge(settings, info("x"), lambda command: True, TestClock(), crashes.append, fleet=link)
    sink.start()
    wait_until(lambda: len(subscribed) >= 7)
    sink.stop()
    assert all(any(topic_matches_sub(each, topic) for topic in SUBSCRIBED) for each in subscribed)
    assert crashes == []

"""Retained fleet messages of version 0.1.0, decoded, verified and encoded again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.domain.types import Example
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.fleet.chunks import Chunks, pack_records, unpack_records
from edge_daemon.fleet.key import key_id
from edge_daemon.fleet.live_set import LiveSet
from edge_daemon.fleet.records import RecordSigner, decode_message
from edge_daemon.fleet.sync import FleetPublisher
from edge_daemon.mqtt.discovery_publisher import described_platforms
from edge_daemon.mqtt.home_assistant import Discovery
from edge_daemon.mqtt.payloads import Info
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.testing import ManualClock
from tests.compatibility.written import EXPECTED, GROUP, KEY, SPACE, copy_of, digest, fleet_messages, retained

SIGNER = RecordSigner(KEY, GROUP, SPACE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fields(topic: str, kind: str) -> list[list[Any]]:
    """Return the records of a kind that the broker kept at a topic, as they were read without the package."""
    return [record for record in EXPECTED["fleet"][topic] if record[0] == kind]


@pytest.mark.parametrize("device", ["north", "south"])
def test_each_message_is_verified_and_read(device: str) -> None:
    messages = fleet_messages(device)
    assert {topic.rpartition("/")[2] for topic in messages} == {"roll", "0"}
    for topic, payload in messages.items():
        message = decode_message(SIGNER, device, payload)
        assert message.rejections == ()
        snapshot = [
            [
                *("example", GROUP, device, SPACE, each.number, each.label, each.region, each.burst),
                (each.created_at - EPOCH) // timedelta(microseconds=1),
            ]
            for each in message.examples
        ]
        assert snapshot == [record[:-1] for record in fields(topic, "example")]
        for record in fields(topic, "roll"):
            assert message.live_set == LiveSet(record[4], frozenset(np.cumsum(record[5]).tolist()))


@pytest.mark.parametrize("device", ["north", "south"])
def test_decoded_messages_are_encoded_with_the_same_bytes(device: str) -> None:
    for topic, payload in fleet_messages(device).items():
        message = decode_message(SIGNER, device, payload)
        written = [
            SIGNER.sign_example(
                device,
                each.number,
                Example(0, each.label, each.embedding, SPACE, each.region, each.created_at, each.burst),
            )
            for each in message.examples
        ]
        if message.live_set is not None:
            written.append(SIGNER.sign_live_set(device, message.live_set))
        assert written == unpack_records(payload), topic
        assert pack_records(written) == payload, topic


def test_another_key_verifies_nothing() -> None:
    for payload in fleet_messages("north").values():
        message = decode_message(RecordSigner(KEY[::-1], GROUP, SPACE), "north", payload)
        assert (message.examples, message.live_set, message.rejections) == ((), None, ("signature",))


def test_the_store_publishes_what_the_broker_retained(tmp_path: Path) -> None:
    clock = ManualClock(start_at=datetime.fromisoformat(EXPECTED["examples"][-1]["created_at"]))
    with ExampleStore(copy_of("state/examples.sqlite", tmp_path)) as store:
        peers = PeerExamples(store, SPACE)
        peers.join(GROUP, key_id(KEY))
        snapshot = FleetPublisher("north", SIGNER, peers, 500, clock).snapshot()
    chunks = Chunks()
    chunks.update(snapshot.records)
    topic = f"edge_daemon/fleet/{GROUP}/north"
    again = {f"{topic}/roll": pack_records([snapshot.live_set]), f"{topic}/0": chunks.payload(0)}
    assert again == fleet_messages("north")


def test_home_assistant_keeps_its_entities() -> None:
    """A changed `unique_id` would leave every automation with a dead entity, and make a second one."""
    topic = "homeassistant/device/edge_daemon_north/config"
    then = json.loads(retained()[topic])
    information = json.loads(retained()["edge_daemon/north/info"])
    regions = tuple(information["regions"])
    info = Info(**{key: information[key] for key in ("device", "name", "version", "model", "classifier")}
        | {"regions": list(regions), "config_digest": information["config_digest"],
           "triggers": information["triggers"]})  # fmt: skip
    labels = [row["label"] for row in EXPECTED["examples"] if row["removed_at"] is None]
    discovery = Discovery(device_topics(None, "north", regions), info, "homeassistant")
    message = discovery.announcement(list(dict.fromkeys(labels)), {})
    now = json.loads(message.payload)
    assert message.topic == topic
    assert described_platforms(retained()[topic]) == {
        key: each["platform"] for key, each in then["components"].items()
    }
    assert now["device"]["identifiers"] == then["device"]["identifiers"]
    assert {key: (each["platform"], each["unique_id"]) for key, each in now["components"].items()} == {
        key: (each["platform"], each["unique_id"]) for key, each in then["components"].items()
    }


def test_the_kept_messages_are_those_that_are_expected() -> None:
    """The embedding's eight-bit numbers are the last field; they are compared by their digest."""
    for device in ("north", "south"):
        for topic, payload in fleet_messages(device).items():
            examples = decode_message(SIGNER, device, payload).examples
            steps = [np.rint(each.embedding * (127 / np.abs(each.embedding).max())) for each in examples]
            assert [digest(each.astype(np.int8).tobytes()) for each in steps] == [
                record[-1] for record in fields(topic, "example")
            ]

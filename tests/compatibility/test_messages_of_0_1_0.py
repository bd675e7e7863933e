"""The MQTT messages of a fixed run, byte for byte as version 0.1.0 sent them.

messages.json was recorded with version 0.1.0 and is never recorded again: a subscriber compares with it, too.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from edge_daemon.domain import events
from edge_daemon.domain.commands import AddExample, Origin, TakeSnapshot, Undo
from edge_daemon.domain.types import Prediction
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.payloads import Info
from edge_daemon.mqtt.requests import RejectedRequest, ReturnAddress, read_request
from edge_daemon.mqtt.serializer import EventSerializer
from edge_daemon.mqtt.topics import device_topics
from tests.compatibility.written import WRITTEN

NOON = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
LOCAL = datetime(2026, 5, 1, 14, 0, 0, 999999, tzinfo=timezone(timedelta(hours=2)))
BUTTON = Origin("gpio", "17")
ASKED = Origin("mqtt", "add", {"n": 1})
ANSWERED = Origin("mqtt", "undo", ReturnAddress("panel/7", b"\x01", "t-2"))
PRESS = AddExample("Füchse", 1.0, BUTTON)
REPLY = {"id": 7, "label": "Füchse", "count": 2, "seq": 41}
LABELS = {f"label {number}": (number + 1) / 78 for number in range(12)}


def fixed_run() -> Iterator[Message]:
    """Yield the messages of one device's life, but for those whose words are under change."""
    info = Info(
        device="tray-1",
        name="Tray “1”",
        version="0.1.0",
        model="edge_embedder_v1",
        classifier="knn",
        regions=["left", "right"],
        config_digest="0123456789ab",
        instance="a1b2c3d4",
        triggers=["continuous", "motion", "mqtt"],
        button_labels=["cat", "Füchse"],
        clock_synced=False,
        power=[],
    )
    topics = device_topics(None, "tray-1", ("left", "right"))
    run = EventSerializer(topics, info, 1)
    yield from run.initial_messages()
    for event in happenings():
        yield from run.messages_for(event, NOON)
    yield run.rejection(RejectedRequest("add", "the label is missing", "t-1"))
    yield run.availability(False)
    whole = EventSerializer(device_topics("plant/cam", "tray-1", ("frame",)), info, 2)
    yield from whole.initial_messages()
    yield from whole.messages_for(events.LabelChanged("frame", "cat", None, 1.0, 3, NOON, 0.04), NOON)


def happenings() -> Iterator[events.Event]:
    """Yield an event of every kind that keeps its words."""
    yield events.SettingsChanged("continuous", "auto")
    yield events.Classified("left", Prediction("label 11", LABELS, 1.0000001), 40, LOCAL, 12.345)
    yield events.Classified("right", Prediction("unknown", {"cat": 0.5, "dog": 0.5}, -0.25), 41, NOON, 9.96)
    yield events.LabelChanged("left", "Füchse", "unknown", 0.66666, 41, LOCAL, 12.345)
    yield events.ObjectPassed("right", "cat", 0.87654321, 9, 44, NOON, 210.06)
    yield events.Button("17", "press")
    yield events.ExampleAdded(7, "Füchse", "left", 2, 41, PRESS)
    yield events.CommandReply(AddExample("Füchse", 1.0, ASKED), data=REPLY)
    yield events.ExampleUndone(7, "Füchse", 1, Undo(BUTTON))
    yield events.CommandReply(Undo(ANSWERED), error="nothing to undo: the store holds no examples")
    yield events.Cleared(None, 3, Undo(BUTTON))
    yield events.ExamplesEdited("relabelled", (3, 5), Undo(Origin("web", "relabel")), "dog")
    yield events.ExamplesEdited("removed", (9,), Undo(Origin("web", "remove")))
    yield events.SettingsChanged("motion", 0.8)
    yield events.CameraLost("no frame for 5 s")
    yield events.CameraRestored(3.14159)
    yield events.PanelLost("gpiochip0 is gone")
    yield events.PanelRestored(1.0)
    yield events.PowerLow(("under_voltage", "throttled"))
    yield events.PowerOk(61.0004)
    yield events.ClockChanged(True)
    yield events.Snapshot(b"\xff\xd8\xff\xd9", TakeSnapshot(BUTTON))


def as_json(message: Message) -> dict[str, Any]:
    """Return a message as messages.json holds it."""
    try:
        payload = {"text": message.payload.decode()}
    except UnicodeDecodeError:
        payload = {"base64": b64encode(message.payload).decode()}
    more: dict[str, Any] = {"expiry_s": message.expiry_s} if message.expiry_s is not None else {}
    if message.correlation is not None:
        more["correlation"] = b64encode(message.correlation).decode()
    return {"topic": message.topic, **payload, "qos": message.qos, "retain": message.retain, **more}


def test_a_fixed_run_sends_the_same_bytes() -> None:
    then = json.loads((WRITTEN / "messages.json").read_text("utf-8"))
    now = [as_json(message) for message in fixed_run()]
    assert [each["topic"] for each in now] == [each["topic"] for each in then]
    for ours, theirs in zip(now, then, strict=True):
        assert ours == theirs


@pytest.mark.parametrize(
    ("verb", "payload"),
    [
        ("add", '{"label": "cat", "region": "left", "transaction": 7}'),
        ("undo", '{"transaction": 7}'),
        ("clear", '{"label": "cat", "transaction": 7}'),
        ("clear", '{"transaction": 7}'),
        ("label", '{"label": "cat", "region": "right", "transaction": 7}'),
        ("examples", '{"transaction": 7}'),
        ("examples", '{"export": true, "transaction": 7}'),
        ("snapshot", '{"transaction": 7}'),
        ("trigger", '{"region": "left", "transaction": 7}'),
        ("trigger", '{"mode": "motion", "transaction": 7}'),
        ("threshold", '{"unknown": 0.8, "transaction": 7}'),
        ("threshold", '{"unknown": "off", "transaction": 7}'),
    ],
)
def test_a_request_is_taken_as_it_was(verb: str, payload: str) -> None:
    asked = read_request(verb, payload.encode(), ("left", "right"), 1.0)
    assert not isinstance(asked, RejectedRequest), asked
    assert (asked.origin.via, asked.origin.name, asked.origin.transaction) == ("mqtt", verb, 7)

"""Home Assistant's device discovery: one message that describes the device and all its entities.

Source: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery (device discovery, 2024.11 or later).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Literal, get_args

import msgspec

from edge_daemon.domain.labels import MAX_LABEL_CHARACTERS
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.mqtt.message import Incoming, Message
from edge_daemon.mqtt.payloads import EventPayload, Info
from edge_daemon.mqtt.topics import Topics

Component = dict[str, object]

ORIGIN = "edge_daemon"
MAX_BUTTONS = 50
"""Labels with a button of their own: each costs a message of all entities some 250 bytes."""
MAX_KNOWN = 300
"""Entities of earlier messages that are remembered, so that those that are gone can be removed."""
EVENT_TYPES = [str(kind.__struct_config__.tag) for kind in get_args(EventPayload)]
_PERCENT = {"unit_of_measurement": "%", "state_class": "measurement", "suggested_display_precision": 0}
_DIAGNOSTIC = {"entity_category": "diagnostic"}


class Discovery:
    """Describes one device below `prefix`. Pure: values in, messages out."""

    def __init__(self, topics: Topics, info: Info, prefix: str) -> None:
        self._topics = topics
        self._info = info
        self._id = _node_id(info.device)
        self.topic = discovery_topic(prefix, info.device)
        self.birth_topic = f"{prefix}/status"

    def announcement(self, labels: Sequence[str], known: Mapping[str, str], qos: int = 1) -> Message:
        """Describe all entities, with a button for what the device's own teach and for each of `labels`.

        The first 50 have a button; with more, a text field teaches any label. `known` names the platform of
        each entity described before; one that is gone is named with its platform alone, which removes it.
        `qos` is what Home Assistant subscribes and publishes with.
        """
        every = list(dict.fromkeys([*self._info.button_labels, *labels]))
        components = dict(self._components(every[:MAX_BUTTONS], len(every) > MAX_BUTTONS))
        gone = {key: {"platform": platform} for key, platform in known.items() if key not in components}
        config = {
            "device": self._device(),
            "origin": {"name": ORIGIN, "sw_version": self._info.version},
            "availability_topic": self._topics.availability,
            "qos": qos,
            "components": {**components, **gone},
        }
        return Message(self.topic, msgspec.json.encode(config), 1, retain=True)

    def removal(self) -> Message:
        """Take the whole device back."""
        return Message(self.topic, b"", 1, retain=True)

    def _device(self) -> dict[str, object]:
        return {
            "identifiers": [self._id],
            "name": self._info.name,
            "manufacturer": "edge_daemon",
            "model": self._info.model,
            "sw_version": self._info.version,
        }

    def _components(self, labels: Iterable[str], any_label: bool) -> Iterator[tuple[str, Component]]:
        field = [("teach", self._text_field())] if any_label else []
        for key, component in (*self._sensors(), *field, *self._controls(labels)):
            yield key, {"unique_id": f"{self._id}_{key}", **component}

    def _sensors(self) -> Iterator[tuple[str, Component]]:
        for region in self._topics.regions:
            yield from self._region(region)
        yield (
            "examples",
            {
                **_sensor("Examples", self._topics.examples, "{{ value_json.total }}"),
                "state_class": "measurement",
                "json_attributes_topic": self._topics.examples,
                "json_attributes_template": "{{ value_json.counts | tojson }}",
            },
        )
        accuracy = _percent("value_json.exam.accuracy")
        known = "value_json.exam and value_json.exam.accuracy is not none"
        yield (
            "accuracy",
            {
                **_sensor(
                    "Exam accuracy", self._topics.examples, f"{{{{ {accuracy} if {known} else None }}}}"
                ),
                **_PERCENT,
            },
        )
        yield (
            "event",
            {
                "platform": "event",
                "name": "Event",
                "state_topic": self._topics.event,
                "event_types": EVENT_TYPES,
            },
        )
        yield (
            "snapshot",
            {
                "platform": "image",
                "name": "Snapshot",
                "image_topic": self._topics.snapshot,
                "content_type": "image/jpeg",
            },
        )
        yield "latency", self._latency()
        for key in ("model", "classifier", "version"):
            template = f"{{{{ value_json.{key} }}}}"
            yield key, {**_sensor(key.capitalize(), self._topics.info, template), **_DIAGNOSTIC}

    def _latency(self) -> Component:
        """From capture to label, at each change of a label: not from each result, as the confidence."""
        template = (
            "{% if value_json.event_type == 'label_changed' %}{{ value_json.latency_ms | round }}{% endif %}"
        )
        return {
            **_sensor("Latency", self._topics.event, template),
            "unit_of_measurement": "ms",
            "device_class": "duration",
            "state_class": "measurement",
            **_DIAGNOSTIC,
        }

    def _region(self, region: str) -> Iterator[tuple[str, Component]]:
        whole = self._topics.regions == (WHOLE_FRAME,)
        key, title = ("", "") if whole else (f"_{_short(region)}", f" {region}")
        yield (
            f"label{key}",
            _sensor(f"Label{title}", self._topics.label(region), "{{ value if value else None }}"),
        )
        # Not from each result: that would write a state a frame.
        name = json.dumps(region, ensure_ascii=False)
        change = f"value_json.event_type == 'label_changed' and value_json.region == {name}"
        template = f"{{% if {change} %}}{{{{ {_percent('value_json.confidence')} }}}}{{% endif %}}"
        yield (
            f"confidence{key}",
            {
                **_sensor(f"Confidence{title}", self._topics.event, template),
                **_PERCENT,
            },
        )

    def _controls(self, labels: Iterable[str]) -> Iterator[tuple[str, Component]]:
        for label in labels:
            body = json.dumps({"label": label}, ensure_ascii=False)
            yield f"teach_{_short(label)}", self._button(f"Teach {label}", "add", body)
        yield "undo", self._button("Undo", "undo", "{}")
        yield "take_snapshot", self._button("Take snapshot", "snapshot", "{}")
        if len(self._info.triggers) > 1:
            yield "trigger", self._trigger()
        yield (
            "threshold_auto",
            self._button("Threshold from the examples", "threshold", '{"unknown": "auto"}'),
        )
        yield (
            "threshold",
            {
                "platform": "number",
                "name": "Least similarity of a known label",
                "state_topic": self._topics.settings,
                "value_template": "{{ value_json.unknown if value_json.unknown is number else None }}",
                "command_topic": self._topics.request("threshold"),
                "command_template": '{"unknown": {{ value }}}',
                "min": -1,
                "max": 1,
                "step": 0.01,
                "mode": "box",
                "entity_category": "config",
            },
        )

    def _text_field(self) -> Component:
        return {
            "platform": "text",
            "name": "Teach a label",
            "command_topic": self._topics.request("add"),
            "command_template": '{"label": {{ value | tojson }}}',
            "min": 1,
            "max": MAX_LABEL_CHARACTERS,
        }

    def _trigger(self) -> Component:
        return {
            "platform": "select",
            "name": "Trigger",
            "options": list(self._info.triggers),
            "state_topic": self._topics.settings,
            "value_template": "{{ value_json.trigger }}",
            "command_topic": self._topics.request("trigger"),
            "command_template": '{"mode": "{{ value }}"}',
            "entity_category": "config",
        }

    def _button(self, name: str, verb: str, payload: str) -> Component:
        return {
            "platform": "button",
            "name": name,
            "command_topic": self._topics.request(verb),
            "payload_press": payload,
        }


def discovery_topic(prefix: str, device: str) -> str:
    """Return where a device is announced."""
    return f"{prefix}/device/{_node_id(device)}/config"


def _node_id(device: str) -> str:
    return "edge_daemon_" + re.sub(r"[^a-zA-Z0-9_-]", "_", device)


def described(config: bytes) -> dict[str, str] | None:
    """Return the platform of each entity that an announcement of ours describes, None for any other text."""
    try:
        found = msgspec.json.decode(config, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found.origin.name != ORIGIN:
        return None
    return {key: part.platform for key, part in found.components.items() if part.unique_id}


class _Origin(msgspec.Struct):
    name: str


class _Component(msgspec.Struct):
    platform: Literal["sensor", "event", "image", "button", "number", "select", "text"]
    unique_id: str = ""


class _Config(msgspec.Struct):
    origin: _Origin
    components: dict[str, _Component]


def _sensor(name: str, topic: str, template: str) -> Component:
    return {"platform": "sensor", "name": name, "state_topic": topic, "value_template": template}


def _percent(share: str) -> str:
    return f"({share} * 100) | round(1)"


def _short(name: str) -> str:
    """Name any text with eight letters that every topic and id can hold."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]


_LONGEST_DELAY_S = 10.0


class DiscoveryPublisher:
    """Announces once the labels are known, when they change, and after each birth of Home Assistant.

    After a birth it waits up to 10 s, at random, so that a hundred devices don't answer at once. When
    discovery is turned off, an announcement of an earlier time is taken back. Belongs to one thread.
    """

    def __init__(self, discovery: Discovery, enabled: bool, random: Random) -> None:
        self._discovery = discovery
        self._enabled = enabled
        self._random = random
        self._known: dict[str, str] = {}
        self._told: tuple[str, ...] | None = None
        self._due_s: float | None = None

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to: our own retained announcement, and Home Assistant's birth."""
        return (self._discovery.topic, *((self._discovery.birth_topic,) if self._enabled else ()))

    def take(self, incoming: Incoming, now_s: float) -> None:
        """Note a birth or an earlier announcement of ours; anything else is passed over."""
        if incoming.topic == self._discovery.birth_topic and incoming.payload == b"online":
            self._due_s = now_s + self._random.uniform(0, _LONGEST_DELAY_S)
        elif incoming.topic == self._discovery.topic and incoming.retained:
            known = described(incoming.payload)
            if known is not None and not known.keys() <= self._known.keys():
                self._remember(known)
                self._due_s = now_s

    def due(self, labels: Sequence[str] | None, now_s: float, max_qos: int = 2) -> Message | None:
        """Return what is to be sent now, if anything. `labels` is None until they are known.

        `max_qos` is the highest QoS that the broker takes, from Home Assistant as well.
        """
        overdue = self._due_s is not None and now_s >= self._due_s
        if not self._enabled:
            self._due_s = None
            return self._discovery.removal() if overdue else None
        if labels is None or not (overdue or tuple(labels) != self._told):
            return None
        announcement = self._discovery.announcement(labels, self._known, min(1, max_qos))
        self._remember(described(announcement.payload) or {})
        self._told = tuple(labels)
        if overdue:
            self._due_s = None
        return announcement

    def _remember(self, known: dict[str, str]) -> None:
        """Keep what was described last, up to a bound: labels come and go for years."""
        merged = {key: kind for key, kind in self._known.items() if key not in known} | known
        self._known = dict(list(merged.items())[-MAX_KNOWN:])

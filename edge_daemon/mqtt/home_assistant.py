"""Home Assistant's device discovery: one message that describes the device and all its entities.

Source: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery (device discovery, 2024.11 or later).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

import msgspec

from edge_daemon.domain.labels import MAX_LABEL_CHARACTERS
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.mqtt.event_payloads import EventPayload
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.payloads import Info
from edge_daemon.mqtt.topics import Topics

Component = dict[str, object]

ORIGIN = "edge_daemon"
MAX_BUTTONS = 50
"""Maximum number of buttons: each adds about 250 bytes to the discovery message."""
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
        """Return the message that describes all entities.

        The labels of the device's own buttons and `labels` get one button each, up to 50; with more labels, a
        text field teaches any label. `known` is the platform of each entity described before; one that no
        longer exists is listed with its platform alone, which removes it. `qos` is the QoS of Home Assistant.
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
        """Return the message that removes the device."""
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
        text_field = [("teach", self._text_field())] if any_label else []
        for key, component in (*self._sensors(), *text_field, *self._controls(labels)):
            yield key, {"unique_id": f"{self._id}_{key}", **component}

    def _sensors(self) -> Iterator[tuple[str, Component]]:
        for region in self._topics.regions:
            yield from self._region(region)
        yield "examples", self._examples()
        yield "accuracy", self._accuracy()
        yield "event", self._event()
        yield "snapshot", self._snapshot()
        yield "latency", self._latency()
        for key in ("model", "classifier", "version"):
            template = f"{{{{ value_json.{key} }}}}"
            yield key, {**_sensor(key.capitalize(), self._topics.info, template), **_DIAGNOSTIC}

    def _examples(self) -> Component:
        return {
            **_sensor("Examples", self._topics.examples, "{{ value_json.total }}"),
            "state_class": "measurement",
            "json_attributes_topic": self._topics.examples,
            "json_attributes_template": "{{ value_json.counts | tojson }}",
        }

    def _accuracy(self) -> Component:
        accuracy = _percent("value_json.evaluation.accuracy")
        known = "value_json.evaluation and value_json.evaluation.accuracy is not none"
        template = f"{{{{ {accuracy} if {known} else None }}}}"
        attributes = ", ".join(
            f"'{key}': value_json.evaluation.{key}"
            for key in ("note", "sessions", "across_sessions", "recommendation")
        )
        shown = f"{{{attributes}}}"
        return {
            **_sensor("Accuracy", self._topics.examples, template),
            **_PERCENT,
            "json_attributes_topic": self._topics.examples,
            "json_attributes_template": f"{{{{ ({shown} if value_json.evaluation else {{}}) | tojson }}}}",
        }

    def _event(self) -> Component:
        return {
            "platform": "event",
            "name": "Event",
            "state_topic": self._topics.event,
            "event_types": EVENT_TYPES,
        }

    def _snapshot(self) -> Component:
        return {
            "platform": "image",
            "name": "Snapshot",
            "image_topic": self._topics.snapshot,
            "content_type": "image/jpeg",
        }

    def _latency(self) -> Component:
        """Latency at each change of a label: one of each result would write a state per frame."""
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
        key, title = ("", "") if whole else (f"_{_short_id(region)}", f" {region}")
        yield (
            f"label{key}",
            _sensor(f"Label{title}", self._topics.label(region), "{{ value if value else None }}"),
        )
        # One of each result would write a state per frame.
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
            yield f"teach_{_short_id(label)}", self._button(f"Teach {label}", "add", body)
        yield "undo", self._button("Undo", "undo", "{}")
        yield "take_snapshot", self._button("Take snapshot", "snapshot", "{}")
        if self._info.scenes is not msgspec.UNSET:
            yield "learn_scene", self._button("Learn empty scene", "scene", "{}")
        if len(self._info.triggers) > 1:
            yield "trigger", self._trigger()
        yield (
            "threshold_auto",
            self._button("Threshold from the examples", "threshold", '{"unknown": "auto"}'),
        )
        yield "threshold", self._threshold()

    def _threshold(self) -> Component:
        return {
            "platform": "number",
            "name": "Minimum similarity of a known label",
            "state_topic": self._topics.settings,
            "value_template": "{{ value_json.unknown if value_json.unknown is number else None }}",
            "command_topic": self._topics.request("threshold"),
            "command_template": '{"unknown": {{ value }}}',
            "min": -1,
            "max": 1,
            "step": 0.01,
            "mode": "box",
            "entity_category": "config",
        }

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
    """Return the discovery topic of a device."""
    return f"{prefix}/device/{_node_id(device)}/config"


def _node_id(device: str) -> str:
    return "edge_daemon_" + re.sub(r"[^a-zA-Z0-9_-]", "_", device)


def _sensor(name: str, topic: str, template: str) -> Component:
    return {"platform": "sensor", "name": name, "state_topic": topic, "value_template": template}


def _percent(share: str) -> str:
    return f"({share} * 100) | round(1)"


def _short_id(name: str) -> str:
    """Return eight letters for any text, valid in every topic and id."""
    return hashlib.sha256(name.encode()).hexdigest()[:8]

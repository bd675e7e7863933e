"""The AsyncAPI document of the device's topics, and its page, from the table of topics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from edge_daemon import __version__
from edge_daemon.mqtt.requests import LABEL_REQUESTS, REQUESTS
from edge_daemon.mqtt.schemas import TOPICS, TopicSpec, shared_schemas

_PARAMETERS = {
    "base": "`edge_daemon/<device id>`, or `mqtt.base_topic` of the device's configuration",
    "region": "name of a region of the configuration",
    "verb": "verb of the request",
}
_TEXT_LABEL = {"type": "string", "description": "the label alone", "maxLength": 64}

_HEAD = """# AsyncAPI

[asyncapi.json](asyncapi.json) describes topics and payloads as an AsyncAPI 3 document: editors show it, and
generators make clients from it. It is written from the same types as the JSON Schemas and the tables of
[MQTT](mqtt.md), which explains them. `scripts/dev/check-asyncapi` checks it with AsyncAPI's own parser.

| operation | the device | address | payload | QoS | retained | reply at |
|---|---|---|---|---|---|---|"""


def document() -> dict[str, Any]:
    """Return the document, from the device's point of view: it receives requests and sends the rest."""
    payloads, definitions = shared_schemas("#/components/schemas/{name}")
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for spec in TOPICS:
        name = _name(spec.topic)
        messages[name] = _message(spec, payloads)
        for key, address in _addresses(name, spec.topic):
            channels[key] = _channel(address, name)
            operations[key] = _operation(spec, key)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "edge_daemon",
            "version": __version__,
            "description": "What a device publishes, and the requests that it accepts.",
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "localhost:1883", "protocol": "mqtt", "protocolVersion": "5"}},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": definitions},
    }


def _name(topic: str) -> str:
    """Return the name of a topic's message, such as `request-add`, or `response` for all verbs."""
    words = topic.removeprefix("<base>").replace("[/<region>]", "").replace("/<verb>", "")
    return words.strip("/").replace("/", "-")


def _addresses(name: str, topic: str) -> Iterator[tuple[str, str]]:
    """Yield name and address of each channel: a label has one without regions and one with."""
    whole = topic.replace("[/<region>]", "")
    yield name, re.sub(r"<(\w+)>", r"{\1}", whole)
    if whole != topic:
        yield f"region-{name}", re.sub(r"<(\w+)>", r"{\1}", topic.replace("[", "").replace("]", ""))


def _message(spec: TopicSpec, payloads: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if spec.schema is None:
        content = "image/jpeg" if spec.text.startswith("JPEG") else "text/plain"
        return {"summary": spec.text, "contentType": content, "payload": {"type": "string"}}
    # AsyncAPI's discriminator is a name alone; each choice has its own constant anyway.
    payload = {key: value for key, value in payloads[spec.schema].items() if key != "discriminator"}
    if spec.topic.rpartition("/")[2] in LABEL_REQUESTS and spec.payload in REQUESTS.values():
        payload = {"anyOf": [payload, _TEXT_LABEL]}
    return {"summary": spec.text, "payload": payload}


def _channel(address: str, message: str) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", address)
    parameters: dict[str, Any] = {name: {"description": _PARAMETERS[name]} for name in names}
    if "verb" in parameters:
        parameters["verb"]["enum"] = list(REQUESTS)
    reference = {"$ref": f"#/components/messages/{message}"}
    return {"address": address, "parameters": parameters, "messages": {message: reference}}


def _operation(spec: TopicSpec, channel: str) -> dict[str, Any]:
    received = spec.payload in REQUESTS.values()
    binding = {"qos": spec.qos, "retain": spec.retained, "bindingVersion": "0.2.0"}
    operation: dict[str, Any] = {
        "action": "receive" if received else "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"mqtt": binding},
    }
    if received:
        operation["reply"] = {"channel": {"$ref": "#/channels/response"}}
    return operation


def page(document: dict[str, Any]) -> str:
    """Return a page with the operations of the document."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield _HEAD
    for name, operation in document["operations"].items():
        channel = document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        (reference,) = channel["messages"].values()
        message = document["components"]["messages"][reference["$ref"].rpartition("/")[2]]
        binding = operation["bindings"]["mqtt"]
        reply = operation.get("reply", {}).get("channel", {}).get("$ref", "").rpartition("/")[2]
        reply_at = f"`{document['channels'][reply]['address']}`" if reply else ""
        verb = {"send": "sends", "receive": "receives"}[operation["action"]]
        yield (
            f"| {name} | {verb} | `{channel['address']}` | {message['summary']} | {binding['qos']} "
            f"| {'yes' if binding['retain'] else 'no'} | {reply_at} |"
        )

"""The table of all topics and payloads, the source of the JSON Schemas and of the reference page."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import msgspec

from edge_daemon.mqtt import payloads
from edge_daemon.mqtt.event_payloads import EventPayload
from edge_daemon.mqtt.requests import LABEL_REQUESTS, REQUESTS


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `payload` is the type of its JSON; None for another format, which `text` names."""

    topic: str
    text: str
    qos: int
    retained: bool
    schema: str | None = None
    payload: Any = None


TOPICS = (
    TopicSpec("<base>/availability", "`online` or `offline`; the last will is `offline`", 1, True),
    TopicSpec(
        "<base>[/<region>]/label",
        "the stable label as plain text; `unknown` if no taught label fits; empty while the camera is lost; "
        "with a `trigger`, the label of the object in view and `unknown` between objects "
        "(to count objects, use the `object` events)",
        1,
        True,
    ),
    TopicSpec("<base>[/<region>]/result", "JSON, one per frame", 0, False, "result", payloads.Result),
    TopicSpec("<base>/event", "JSON, one of the events below", 1, False, "event", EventPayload),
    TopicSpec(
        "<base>/examples",
        "JSON, taught examples and their evaluation",
        1,
        True,
        "examples",
        payloads.Examples,
    ),
    TopicSpec(
        "<base>/info", "JSON, identity and configuration of the device", 1, True, "info", payloads.Info
    ),
    TopicSpec(
        "<base>/settings",
        "JSON, current values of the settings that requests can change",
        1,
        True,
        "settings",
        payloads.SettingsPayload,
    ),
    TopicSpec("<base>/snapshot", "JPEG, on request", 0, False),
    *(
        TopicSpec(
            f"<base>/request/{verb}",
            f"JSON{' or the label as plain text' if verb in LABEL_REQUESTS else ''}, sent to the device",
            1,
            False,
            f"request-{verb}",
            request,
        )
        for verb, request in REQUESTS.items()
    ),
    TopicSpec("<base>/response/<verb>", "JSON, the response", 1, False, "response", payloads.Response),
    TopicSpec(
        "<base>/response/examples",
        "JSON, one for each part of an export",
        1,
        False,
        "response-export",
        payloads.ExportResponse,
    ),
)


def shared_schemas(ref_template: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the JSON Schema of each JSON payload by its name, and the definitions that they refer to.

    A reference is `ref_template` with the definition in place of `{name}`.
    """
    specs = [spec for spec in TOPICS if spec.schema is not None]
    roots, definitions = msgspec.json.schema_components(
        [spec.payload for spec in specs], schema_hook=_any_json, ref_template=ref_template
    )
    named = {str(spec.schema): root for spec, root in zip(specs, roots, strict=True)}
    return named, _described(definitions)


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema (draft 2020-12) of each JSON payload by its name."""
    return {spec.schema: _schema(spec.payload) for spec in TOPICS if spec.schema is not None}


def _schema(payload: Any) -> dict[str, Any]:
    [root], definitions = msgspec.json.schema_components(
        [payload], schema_hook=_any_json, ref_template="#/$defs/{name}"
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "$defs": _described(definitions),
    }


def _described(definitions: dict[str, Any]) -> dict[str, Any]:
    for definition in definitions.values():
        definition["description"] = cleandoc(definition["description"])  # as Python 3.13 has it already
    return definitions


def _any_json(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "any JSON"}
    raise NotImplementedError(kind)  # as msgspec expects for a type without a schema

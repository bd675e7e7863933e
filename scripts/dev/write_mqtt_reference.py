"""Write docs/mqtt.md's tables, the JSON Schemas and the AsyncAPI document from the payload types.

`--check` only compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asyncapi_document import document, page

from edge_daemon.mqtt.schemas import TOPICS, schemas

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "mqtt.md"
ASYNCAPI = ROOT / "docs" / "asyncapi.json"
SCHEMAS = ROOT / "edge_daemon" / "mqtt" / "schemas"
MARK = "<!-- What follows is written by scripts/dev/write_mqtt_reference.py. -->\n"


def files() -> dict[Path, str]:
    """Return the expected text of each generated file."""
    written = {
        SCHEMAS / f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas().items()
    }
    head = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    described = document()
    return {
        **written,
        PAGE: head + MARK + "\n".join(_tables()) + "\n",
        ASYNCAPI: json.dumps(described, indent=2, ensure_ascii=False) + "\n",
        ASYNCAPI.with_suffix(".md"): page(described),
    }


def _tables() -> Iterator[str]:
    yield from ("", "## Topics", "", "| topic | payload | QoS | retained | schema |", "|---|---|---|---|---|")
    for spec in TOPICS:
        link = f"[{spec.schema}](../edge_daemon/mqtt/schemas/{spec.schema}.json)" if spec.schema else ""
        retained = "yes" if spec.retained else "no"
        yield f"| `{spec.topic}` | {spec.text} | {spec.qos} | {retained} | {link} |"
    yield from ("", "## Payloads")
    for name, schema in schemas().items():
        yield from ("", f"### {name}")
        for definition in schema["$defs"].values():
            yield from _definition(definition)


def _definition(definition: dict[str, Any]) -> Iterator[str]:
    yield from (
        "",
        f"**{definition['title']}**: {definition['description']}",
        "",
        "| key | type | |",
        "|---|---|---|",
    )
    for key, field in definition["properties"].items():
        optional = "" if key in definition.get("required", []) else " (optional)"
        yield f"| `{key}`{optional} | {_type(field)} | {field.get('description', '')} |"


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "items" in field:
        return f"list of {_type(field['items'])}"
    if isinstance(field.get("additionalProperties"), dict) and field["additionalProperties"]:
        return f"object of {_type(field['additionalProperties'])}"
    if field.get("format") == "date-time":
        return "time"
    kind = str(field.get("type", "any JSON"))
    if "minimum" in field and "maximum" in field:
        return f"{kind}, {field['minimum']} to {field['maximum']}"
    return kind


def main(check: bool) -> int:
    """Write the files, or name those that are not up to date."""
    stale = [path for path, text in files().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'not up to date' if check else 'written'}")
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files()[path], "utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))

"""Shortens a payload for a broker that takes short messages only."""

from __future__ import annotations

from typing import Any

import msgspec

_TABLES = (("ranking",), ("exam", "verdicts"), ("fleet", "peers"), ("counts",), ("ids",), ("button_labels",))
"""Lists and tables of which the first entries are of use alone; what is missed least comes first."""
_BUTTON = "teach_"


def shortened(payload: bytes, limit: int) -> bytes | None:
    """Return a payload of at most `limit` bytes that says the same in less, None where there is none.

    Lists and tables keep their first entries. Home Assistant's discovery loses the buttons of labels. An
    answer becomes an error that names its size. Anything but a JSON object can't be shortened.
    """
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(body, dict):
        return None
    if "status" in body:
        return _fitting(_refusal(body, len(payload)), limit)
    if "components" in body:
        return _fitting(_without_buttons(body), limit)
    return _with_shorter_tables(body, limit)


def _fitting(body: object, limit: int) -> bytes | None:
    payload = msgspec.json.encode(body)
    return payload if len(payload) <= limit else None


def _refusal(body: dict[str, Any], size: int) -> dict[str, Any]:
    error = f"the answer of {size} bytes is longer than the broker takes"
    return {"status": "error", "error": error, "transaction": body.get("transaction")}


def _without_buttons(body: dict[str, Any]) -> dict[str, Any]:
    components = body["components"]
    return body | {
        "components": {key: part for key, part in components.items() if not key.startswith(_BUTTON)}
    }


def _with_shorter_tables(body: dict[str, Any], limit: int) -> bytes | None:
    for *above, key in _TABLES:
        parent: Any = body
        for name in above:
            parent = parent.get(name) or {}
        while isinstance(table := parent.get(key), dict | list) and table:
            kept = list(table)[: len(table) // 2]
            parent[key] = {name: table[name] for name in kept} if isinstance(table, dict) else kept
            if (payload := _fitting(body, limit)) is not None:
                return payload
    return None

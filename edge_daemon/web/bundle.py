"""The support bundle: what someone who helps needs to see, and no secret."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping, Sequence

import msgspec

LEFT_OUT = "(left out)"

_SECRET_KEY = re.compile(r"password|token|secret|username|credential|api_?key", re.IGNORECASE)
_IN_URL = re.compile(r"(\w+://)[^/\s@]+@")
_IN_TEXT = re.compile(r"((?:password|token|secret)\w*[\"']?\s*[=:]\s*)\S+", re.IGNORECASE)


def write_bundle(
    settings: Mapping[str, object], vitals: Sequence[Mapping[str, object]], log: Sequence[str]
) -> bytes:
    """Return a zip of the effective settings, the state of health and the log's tail."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("settings.json", _json(without_secrets(settings)))
        archive.writestr("health.json", _json(without_secrets(list(vitals))))
        archive.writestr("log.txt", "\n".join(_cleaned(line) for line in log) + "\n")
    return buffer.getvalue()


def without_secrets(data: object) -> object:
    """Return plain data in which passwords, tokens and names of accounts are left out."""
    if isinstance(data, dict):
        return {key: _kept(str(key), value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [without_secrets(each) for each in data]
    return _cleaned(data) if isinstance(data, str) else data


def _kept(key: str, value: object) -> object:
    # Files and credentials are named by path; what is in them was never read into the settings.
    named = key.endswith("_file") or key == "credential"
    secret = _SECRET_KEY.search(key) and not named and value is not None
    return LEFT_OUT if secret else without_secrets(value)


def _cleaned(text: str) -> str:
    return _IN_TEXT.sub(rf"\1{LEFT_OUT}", _IN_URL.sub(rf"\1{LEFT_OUT}@", text))


def _json(data: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data), indent=2)

"""The support bundle: what someone who helps needs to see, and no secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from edge_daemon.examples.zip_stream import ZipStream
from edge_daemon.web.redaction import redact, redact_data


def write_bundle(
    settings: Mapping[str, object], vitals: Sequence[Mapping[str, object]], log: Sequence[str]
) -> bytes:
    """Return a zip of the effective settings, the state of health and the log's tail."""
    bundle = ZipStream()
    bundle.add("settings.json", _json(redact_data(settings)))
    bundle.add("health.json", _json(redact_data(list(vitals))))
    bundle.add("log.txt", "".join(f"{redact(line)}\n" for line in log).encode(errors="replace"))
    bundle.close()
    return bundle.pop()


def _json(data: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data), indent=2)

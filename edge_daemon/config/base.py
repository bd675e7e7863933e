"""The base of every config section: frozen, closed, keyword-only."""

from __future__ import annotations

from typing import Annotated

import msgspec


class ConfigSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the configuration. Unknown keys are refused; the annotations have the ranges."""


Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Size = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=16, le=8192)], Annotated[int, msgspec.Meta(ge=16, le=8192)]],
    msgspec.Meta(description="width, height in pixels"),
]
FilePath = Annotated[str, msgspec.Meta(extra={"scalar": "path"})]
"""A file or folder; `~` at its start and `$NAME` are expanded when the configuration is read."""

END = r"(?!\n)$"
"""The end of the text in a pattern, in Python and in JSON Schema; `$` also matches before a last newline."""

MIN_FRAMES_PER_S = 0.25
"""A camera whose period is not known yet counts as lost after 5 s without a frame; this leaves a second."""
FramesPerSecond = Annotated[float, msgspec.Meta(ge=MIN_FRAMES_PER_S, le=240)]

MIN_RATE_PER_S = 0.001
"""Lowest rate of messages other than 0, which is no limit."""
RATE_SCHEMA = {"anyOf": [{"const": 0}, {"minimum": MIN_RATE_PER_S}]}
"""The lower bound of a rate in the JSON Schema; a struct can't declare it, and the cross checks hold it."""

"""The base of every config section: frozen, closed, keyword-only."""

from __future__ import annotations

from typing import Annotated

import msgspec


class ConfigSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the configuration. Unknown keys are refused; the annotations have the ranges."""


Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Size = Annotated[
    tuple[Annotated[int, msgspec.Meta(ge=16, le=8192)], Annotated[int, msgspec.Meta(ge=16, le=8192)]],
    msgspec.Meta(description="width, height in pixels"),
]
FilePath = Annotated[str, msgspec.Meta(extra={"scalar": "path"})]
"""A file or folder; `~` at its start and `$NAME` are expanded when the configuration is read."""

FramesPerSecond = Annotated[float, msgspec.Meta(gt=0, le=240)]

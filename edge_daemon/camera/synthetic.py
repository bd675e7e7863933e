"""A drawn tray or belt with objects, deterministic by seed, with ground truth."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_daemon.options import FramesPerSecond, Options, Positive, Size


class SyntheticOptions(Options, tag_field="type", tag="synthetic"):
    """`camera:` with `type: synthetic`."""

    scene: Literal["tray", "belt"] = "tray"
    size: Size = (640, 480)
    fps: FramesPerSecond = 15.0
    seed: Annotated[int, Meta(ge=0)] = 1
    frames: Positive | None = None
    """Stop after so many frames; None goes on for ever."""

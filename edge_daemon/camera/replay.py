"""An image, a folder of images or a video, shown as a camera would."""

from __future__ import annotations

from typing import Literal

from edge_daemon.options import FramesPerSecond, Options


class ReplayOptions(Options, frozen=True, tag_field="type", tag="replay"):
    """`camera:` with `type: replay`. Without `fps` every frame comes as fast as it is consumed."""

    path: str
    fps: FramesPerSecond | None = None
    loop: bool = False
    rotation: Literal[0, 90, 180, 270] = 0

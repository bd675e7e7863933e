"""USB cameras through Video4Linux and OpenCV."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_daemon.options import FramesPerSecond, Options, Size


class V4l2Controls(Options, frozen=True):
    """Fixed camera controls; None leaves the camera's own automatic."""

    exposure_us: Annotated[int, Meta(ge=1, le=200_000_000)] | None = None
    gain: Annotated[float, Meta(ge=0)] | None = None
    white_balance_k: Annotated[int, Meta(ge=1000, le=12000)] | None = None


class V4l2Options(Options, frozen=True, tag_field="type", tag="v4l2"):
    """`camera:` with `type: v4l2`."""

    device: str = "/dev/video0"
    size: Size = (640, 480)
    fps: FramesPerSecond = 15.0
    rotation: Literal[0, 90, 180, 270] = 0
    controls: V4l2Controls = V4l2Controls()

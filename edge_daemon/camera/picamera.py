"""The Raspberry Pi camera through picamera2."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edge_daemon.options import FramesPerSecond, Options, Size


class PicameraControls(Options, frozen=True):
    """Fixed camera controls; None leaves the camera's own automatic."""

    exposure_us: Annotated[int, Meta(ge=1, le=200_000_000)] | None = None
    gain: Annotated[float, Meta(ge=1, le=64)] | None = None
    colour_gains: tuple[Annotated[float, Meta(ge=0, le=32)], Annotated[float, Meta(ge=0, le=32)]] | None = (
        None
    )


class PicameraOptions(Options, frozen=True, tag_field="type", tag="picamera2"):
    """`camera:` with `type: picamera2`."""

    size: Size = (640, 480)
    fps: FramesPerSecond = 15.0
    rotation: Literal[0, 90, 180, 270] = 0
    index: Annotated[int, Meta(ge=0, le=7)] = 0
    controls: PicameraControls = PicameraControls()

"""The `camera:` section: one struct for each `type`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from msgspec import Meta

from edge_daemon.config.base import (
    END,
    MIN_FRAMES_PER_S,
    ConfigSection,
    FilePath,
    FramesPerSecond,
    Positive,
    Share,
    Size,
)

ColourGain = Annotated[float, Meta(ge=0, le=32)]
Exposure = Annotated[int, Meta(ge=1, le=int(1e6 / MIN_FRAMES_PER_S))]
"""Microseconds, at most the longest time from one frame to the next."""


class PicameraControls(ConfigSection, frozen=True):
    """Fixed camera controls; None leaves a control to the camera."""

    exposure_us: Exposure | None = None
    gain: Annotated[float, Meta(ge=1, le=64)] | None = None
    colour_gains: tuple[ColourGain, ColourGain] | None = None
    """Gains of red and blue."""
    flicker_period_us: Annotated[int, Meta(ge=100, le=1_000_000)] | None = None
    """Period of lamps on mains, 10000 at 50 Hz and 8333 at 60 Hz: the automatic exposure avoids stripes."""
    focus_dioptres: Annotated[float, Meta(ge=0, le=32)] | None = None
    """1 / distance in metres, for cameras with a focus motor; None focuses automatically."""
    focus_mode: Literal["continuous", "auto", "manual"] | None = None
    """`auto` focuses once, at the start; None is `manual` with `focus_dioptres` and `continuous` without."""
    focus_window: tuple[Share, Share, Share, Share] | None = None
    """Part of the picture to focus on: x, y, width, height in fractions."""


class PicameraOptions(ConfigSection, frozen=True, tag_field="type", tag="picamera2"):
    """`camera:` with `type: picamera2`. `size` is the size of the frame after rotation (clockwise).

    `index` selects one of several cameras, in the order of `doctor`. `tuning_file` is a path or the name of
    a file of libcamera: imx219_noir.json is for a module 2 without infrared filter. `lock` fixes automatic
    exposure, white balance and focus after they have settled, until the light changes.
    """

    size: Size = (640, 480)
    fps: FramesPerSecond = 15.0
    rotation: Literal[0, 90, 180, 270] = 0
    index: Annotated[int, Meta(ge=0, le=7)] = 0
    tuning_file: FilePath | None = None
    second_stream: bool = True
    """Let the image processor scale a second stream to the model's input, where that is smaller."""
    lock: bool = True
    controls: PicameraControls = PicameraControls()


class V4l2Controls(ConfigSection, frozen=True):
    """Fixed camera controls; None leaves a control to the camera."""

    exposure_us: Exposure | None = None
    gain: Annotated[float, Meta(ge=0, le=1_000_000)] | None = None
    white_balance_k: Annotated[int, Meta(ge=1000, le=12000)] | None = None


class V4l2Options(ConfigSection, frozen=True, tag_field="type", tag="v4l2"):
    """`camera:` with `type: v4l2`. `size` is the size of the frame after rotation (clockwise).

    `lock` fixes automatic exposure, white balance and focus after they have settled, until the light changes.
    Without it, what other programs set on the camera stays.
    """

    device: FilePath = "/dev/video0"
    size: Size = (640, 480)
    fps: FramesPerSecond = 15.0
    rotation: Literal[0, 90, 180, 270] = 0
    fourcc: Annotated[str, Meta(pattern="^[A-Z0-9]{4}" + END)] | None = None
    """The camera's pixel format, such as MJPG (more frames over USB) or YUYV; None is its default."""
    lock: bool = True
    controls: V4l2Controls = V4l2Controls()


class StreamOptions(ConfigSection, frozen=True, tag_field="type", tag="stream"):
    """`camera:` with `type: stream`: a network camera, by RTSP (rtsp://) or HTTP (http://, https://).

    A URL of HTTP leads to MJPEG or to a picture, which is fetched every `every_s` seconds. The password is
    read from `password_file`, else `credential`, else $EDGE_DAEMON_CAMERA_PASSWORD; the words {username} and
    {password} in the URL are replaced by them.
    """

    url: str
    username: str | None = None
    password_file: FilePath | None = None
    credential: str | None = None
    """Name of a file in $CREDENTIALS_DIRECTORY that holds the password."""
    size: Size | None = None
    """Size of the frame after rotation, to which pictures are scaled; None keeps that of the stream."""
    fps: FramesPerSecond = 15.0
    """Maximum number of frames per second."""
    every_s: Annotated[float, Meta(ge=0.1, le=3)] = 1.0
    rotation: Literal[0, 90, 180, 270] = 0


class BrowserOptions(ConfigSection, frozen=True, tag_field="type", tag="browser"):
    """`camera:` with `type: browser`: the camera of a browser that shows the page.

    `size` is asked of the browser's camera, which may have another one.
    """

    size: Size = (640, 480)
    fps: Annotated[float, Meta(ge=MIN_FRAMES_PER_S, le=30)] = 10.0
    """Maximum number of frames per second."""


class ReplayOptions(ConfigSection, frozen=True, tag_field="type", tag="replay"):
    """`camera:` with `type: replay`. Without `fps`, frames are delivered as fast as they are consumed.

    `path` is an image, a folder of images, a video or a file of raw frames, recognised by its content. Raw
    frames (`.npy`) are uint8: one picture of height x width x 3 (RGB), or several.
    """

    path: FilePath
    fps: FramesPerSecond | None = None
    loop: bool = False
    recursive: bool = False
    """Search subfolders too."""
    rotation: Literal[0, 90, 180, 270] = 0


class SyntheticOptions(ConfigSection, frozen=True, tag_field="type", tag="synthetic"):
    """`camera:` with `type: synthetic`."""

    scene: Literal["tray", "belt"] = "tray"
    size: Size = (640, 480)
    fps: FramesPerSecond = 15.0
    seed: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 1
    belt_speed: Annotated[float, Meta(ge=0.001, le=10)] = 0.5
    """Frame widths per second."""
    frames: Positive | None = None
    """Number of frames before the end; None has no end."""


def picamera_faults(options: PicameraOptions) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each contradiction between keys as (path of the key, fault and remedy)."""
    controls = options.controls
    if controls.focus_mode == "manual" and controls.focus_dioptres is None:
        yield (
            ("camera", "controls", "focus_mode"),
            "manual needs focus_dioptres, 1 / distance in metres: 2.0 is half a metre",
        )
    if controls.focus_mode in ("auto", "continuous") and controls.focus_dioptres is not None:
        yield (
            ("camera", "controls", "focus_mode"),
            f"{controls.focus_mode} and focus_dioptres exclude each other; leave one of them out",
        )
    if controls.focus_window is not None:
        x, y, width, height = controls.focus_window
        if not width or not height or x + width > 1 or y + height > 1:
            yield (
                ("camera", "controls", "focus_window"),
                "reaches outside the picture or is empty; [0.25, 0.25, 0.5, 0.5] is its middle",
            )


_SCHEMES = ("rtsp", "http", "https")
_SECRET_WORDS = re.compile("pass|pwd|pw|secret|token", re.IGNORECASE)


def stream_url_fault(url: str) -> str | None:
    """Return why a URL can't be that of a stream, and the remedy; None for a usable one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        return f"is no URL ({exc})"
    if parts.scheme not in _SCHEMES:
        return "begins with none of rtsp://, http:// and https://"
    if "@" in parts.netloc:
        return "holds a name or a password; write `username`, and `password_file` with the password"
    if not host:
        return "has no host; write for example rtsp://192.168.1.20/stream"
    if re.search(r"[\s\0-\x1f]", url) or not url.isascii():
        return "holds a space, a control character or a letter that is not ASCII; write it as %20 and so on"
    for name, value in parse_qsl(parts.query):
        if _SECRET_WORDS.search(name) and value != "{password}":
            return f"holds a password; write `{name}={{password}}`, and `password_file` with the password"
    return None

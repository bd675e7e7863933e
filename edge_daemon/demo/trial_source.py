"""The picture of `edge-daemon try`: a camera of this machine or a browser, pictures, or the simulator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.config.camera import ReplayOptions, SyntheticOptions, V4l2Options
from edge_daemon.config.schema import Config
from edge_daemon.demo.camera_choice import choose_camera, find_cameras
from edge_daemon.demo.shown_pictures import FPS, HeldPictures, tray_segments
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import Clock, FrameSource
from edge_daemon.imaging.image_files import find_images


@dataclass(frozen=True)
class TrialSource:
    """`settings` configure the camera, `text` names it, and `faults` has a line for each unusable camera.

    `waits` is true for a camera without a picture until someone gives one on the page.
    """

    settings: tuple[str, ...] = ()
    text: str = "the configured camera"
    faults: tuple[str, ...] = ()
    waits: bool = False

    def build(self, config: Config, clock: Clock) -> FrameSource | None:
        """Return the frame source; None for the source that the configuration names."""
        options = config.camera
        if not self.settings:
            return None
        if isinstance(options, ReplayOptions):
            from edge_daemon.camera.replay import ReplaySource

            return HeldPictures(ReplaySource(options, clock), clock)
        if isinstance(options, SyntheticOptions):
            from edge_daemon.camera.simulator.source import SyntheticSource

            return SyntheticSource(options, clock, tray_segments())
        return None


def choose_source(pictures: Path | None, clock: Clock, *, simulated: bool) -> TrialSource:
    """Return the pictures or the simulator if asked for, else the first camera that delivers a frame.

    Without a camera that of the browser is used. Raises CameraError for a folder without pictures.
    """
    if pictures is not None:
        if not pictures.is_dir():
            raise CameraError(f"{pictures} is no folder; --pictures needs a folder of pictures")
        try:
            if not find_images(pictures, recursive=True).images:
                raise CameraError(f"{pictures} holds no pictures; --pictures needs a folder of pictures")
        except OSError as exc:
            raise CameraError(f"{pictures} can't be read: {exc.strerror}") from exc
        camera = (
            f"{{type: replay, path: {json.dumps(str(pictures.absolute()))}, loop: true, recursive: true}}"
        )
        return TrialSource((f"camera={camera}",), f"the pictures of {pictures} in turn")
    if simulated:
        camera = f"camera={{type: synthetic, scene: tray, fps: {FPS:g}}}"
        return TrialSource((camera,), "a drawn tray, without a camera")
    choice = choose_camera(find_cameras(), clock)
    if choice.options is None:
        text = "that of your browser's camera, once you press “Use this browser's camera” on the page"
        return TrialSource(("camera={type: browser}",), text, choice.faults, waits=True)
    if isinstance(choice.options, V4l2Options):
        device = choice.options.device
        camera = f"camera={{type: v4l2, device: {json.dumps(device)}}}"
        return TrialSource((camera,), f"the camera at {device}", choice.faults)
    return TrialSource(("camera={type: picamera2}",), "the camera module", choice.faults)

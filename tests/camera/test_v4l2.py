"""USB cameras: missing and wrong devices, and a decoded video in place of a camera."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_daemon.camera.opencv import DeviceSettings, VideoStream, open_device, open_video
from edge_daemon.camera.v4l2 import V4l2Source
from edge_daemon.config.camera import V4l2Controls, V4l2Options
from edge_daemon.domain.errors import CameraError
from edge_daemon.system.testing import ManualClock
from tests.harness.video_clips import CLIP_COLOURS, nearest_colour, write_clip

SETTINGS = DeviceSettings(size=(64, 48), fps=10)


class FakeCapture:
    """A fake cv2.VideoCapture of a camera that lacks some settings, or has stalled."""

    def __init__(self, refused: tuple[int, ...] = (), stamp_ms: float = 0.0) -> None:
        self.refused = refused
        self.stamp_ms = stamp_ms
        self.was_set: dict[int, float] = {}
        self.released = False

    def isOpened(self) -> bool:
        return True

    def set(self, prop: int, value: float) -> bool:
        self.was_set[prop] = value
        return prop not in self.refused

    def get(self, prop: int) -> float:
        import cv2

        return self.stamp_ms if prop == cv2.CAP_PROP_POS_MSEC else self.was_set.get(prop, -1.0)

    def grab(self) -> bool:
        return False

    def retrieve(self) -> tuple[bool, Any]:
        return False, None

    def release(self) -> None:
        self.released = True


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.avi")


def _on_clip(clip: Path, **options: Any) -> V4l2Source:
    """Return a source that reads the clip; /dev/null replaces the character device."""
    source = V4l2Source(
        V4l2Options(device="/dev/null", **options), ManualClock(), lambda device, settings: open_video(clip)
    )
    source.open()
    return source


def _opened_with(
    monkeypatch: pytest.MonkeyPatch, capture: FakeCapture, settings: DeviceSettings
) -> VideoStream:
    monkeypatch.setattr("cv2.VideoCapture", lambda device, api: capture)
    return open_device("/dev/video0", settings)


def test_decoded_pictures_are_rgb_and_keep_their_order(clip: Path) -> None:
    source = _on_clip(clip)
    seen = [nearest_colour(source.read().image[24, 10]) for _ in CLIP_COLOURS]
    assert tuple(seen) == CLIP_COLOURS


def test_a_rotated_camera_gives_the_configured_size(clip: Path) -> None:
    image = _on_clip(clip, rotation=90).read().image
    assert image.shape == (64, 48, 3)
    assert nearest_colour(image[10, 24]) == CLIP_COLOURS[0]
    assert image[-10].max() < 40


def test_a_camera_that_stops_sending_is_lost(clip: Path) -> None:
    source = _on_clip(clip)
    for _ in CLIP_COLOURS:
        source.read()
    with pytest.raises(CameraError, match="/dev/null sent no frame for 5 s or was unplugged"):
        source.read()


def test_a_missing_device_is_named() -> None:
    with pytest.raises(CameraError, match="no camera at /dev/video99; is it plugged in"):
        V4l2Source(V4l2Options(device="/dev/video99"), ManualClock()).open()


def test_a_plain_file_is_not_a_camera(tmp_path: Path) -> None:
    path = tmp_path / "video0"
    path.touch()
    with pytest.raises(CameraError, match="is not a video device"):
        V4l2Source(V4l2Options(device=str(path)), ManualClock()).open()


def test_a_device_that_delivers_no_video_is_named() -> None:
    with pytest.raises(CameraError, match="/dev/null delivers no video: another program holds it"):
        V4l2Source(V4l2Options(device="/dev/null"), ManualClock()).open()


def test_a_device_without_permission_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(CameraError, match="add the user to group 'video'"):
        V4l2Source(V4l2Options(device="/dev/null"), ManualClock()).open()


def test_size_rate_and_controls_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    capture = FakeCapture()
    monkeypatch.setattr("cv2.VideoCapture", lambda device, api: capture)
    controls = V4l2Controls(exposure_us=10_000, gain=5, white_balance_k=4000)
    options = V4l2Options(device="/dev/null", size=(320, 240), fps=20, fourcc="MJPG", controls=controls)
    V4l2Source(options, ManualClock()).open()
    assert capture.was_set[cv2.CAP_PROP_FRAME_WIDTH] == 320
    assert capture.was_set[cv2.CAP_PROP_FRAME_HEIGHT] == 240
    assert capture.was_set[cv2.CAP_PROP_FPS] == 20
    assert capture.was_set[cv2.CAP_PROP_FOURCC] == int.from_bytes(b"MJPG", "little")
    assert capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] == 1
    assert capture.was_set[cv2.CAP_PROP_EXPOSURE] == 100
    assert capture.was_set[cv2.CAP_PROP_GAIN] == 5
    assert capture.was_set[cv2.CAP_PROP_WB_TEMPERATURE] == 4000


def test_without_fixed_controls_the_automatic_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    capture = FakeCapture()
    _opened_with(monkeypatch, capture, SETTINGS)
    assert set(capture.was_set) == {cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS}


def test_a_refused_control_is_named_and_the_device_released(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    capture = FakeCapture(refused=(cv2.CAP_PROP_GAIN,))
    settings = DeviceSettings(size=(64, 48), fps=10, gain=900)
    with pytest.raises(CameraError, match="/dev/video0 doesn't accept gain = 900"):
        _opened_with(monkeypatch, capture, settings)
    assert capture.released


def test_a_picture_without_colour_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = FakeCapture()
    monkeypatch.setattr(capture, "grab", lambda: True)
    monkeypatch.setattr(capture, "retrieve", lambda: (True, np.zeros((4, 4, 2), np.uint8)))
    with pytest.raises(CameraError, match="OpenCV can't decode the picture"):
        VideoStream(capture).read()


def test_the_frame_has_the_drivers_timestamp(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock(500.0)
    pixels = open_video(clip).read()
    stream = VideoStream(FakeCapture(stamp_ms=499_950.0))
    monkeypatch.setattr(VideoStream, "read", lambda self: pixels)
    source = V4l2Source(V4l2Options(device="/dev/null"), clock, lambda device, settings: stream)
    source.open()
    assert source.read().captured_s == pytest.approx(499.95)


def test_without_opencv_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(CameraError, match=r"pip install 'edge-daemon\[usb\]'"):
        V4l2Source(V4l2Options(device="/dev/null"), ManualClock()).open()


class LitCapture(FakeCapture):
    """A fake camera that adjusts its brightness to 120 in automatic mode, and keeps it in manual mode."""

    def __init__(self, clock: ManualClock, refused: tuple[int, ...] = ()) -> None:
        super().__init__(refused)
        self.clock = clock
        self.light = 1.0
        self.exposure = 1.0
        self.keeps_exposure = True

    def grab(self) -> bool:
        return True

    def retrieve(self) -> tuple[bool, Any]:
        import cv2

        self.clock.advance(0.1)
        if self.was_set.get(cv2.CAP_PROP_AUTO_EXPOSURE) != 1:
            self.exposure += 0.3 * (1 / self.light - self.exposure)
        elif not self.keeps_exposure:
            self.exposure = 0.1
        level = min(120 * self.light * self.exposure, 255)
        return True, np.full((48, 64, 3), round(level), np.uint8)

    def get(self, prop: int) -> float:
        import cv2

        return self.exposure * 100 if prop == cv2.CAP_PROP_EXPOSURE else super().get(prop)


def _watch(
    monkeypatch: pytest.MonkeyPatch, capture: LitCapture, seconds: float, **options: Any
) -> V4l2Source:
    monkeypatch.setattr("cv2.VideoCapture", lambda device, api: capture)
    source = V4l2Source(V4l2Options(device="/dev/null", **options), capture.clock)
    source.open()
    _read(source, seconds)
    return source


def _read(source: V4l2Source, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        source.read()


def test_automatic_controls_are_locked_and_follow_a_lamp(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    capture = LitCapture(ManualClock())
    capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] = 1  # left so by another program
    capture.exposure = 0.2
    source = _watch(monkeypatch, capture, 1)
    assert capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] == 3
    _read(source, 9)
    switches = (cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_AUTO_WB, cv2.CAP_PROP_AUTOFOCUS)
    assert [capture.was_set[prop] for prop in switches] == [1, 0, 0]
    assert source.values["exposure_us"] == pytest.approx(10_000, rel=0.05)

    capture.light = 0.3
    _read(source, 20)
    assert capture.exposure == pytest.approx(1 / 0.3, rel=0.05)
    assert capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] == 1

    source.close()
    assert [capture.was_set[prop] for prop in switches] == [3, 1, 1]


def test_a_camera_with_full_automatic_exposure_only_gets_that(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    class FullAutomatic(LitCapture):
        def set(self, prop: int, value: float) -> bool:
            if prop == cv2.CAP_PROP_AUTO_EXPOSURE and value == 3:
                return False
            return super().set(prop, value)

    capture = FullAutomatic(ManualClock())
    source = _watch(monkeypatch, capture, 1)
    assert capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] == 0
    _read(source, 9)
    assert capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] == 1


def test_configured_controls_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    capture = LitCapture(ManualClock())
    controls = V4l2Controls(exposure_us=10_000, white_balance_k=4000)
    source = _watch(monkeypatch, capture, 10, controls=controls)
    assert capture.was_set[cv2.CAP_PROP_AUTOFOCUS] == 0
    source.close()
    assert capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] == 1
    assert capture.was_set[cv2.CAP_PROP_AUTO_WB] == 0
    assert capture.was_set[cv2.CAP_PROP_AUTOFOCUS] == 1


def test_a_camera_that_does_not_keep_its_exposure_stays_automatic(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import cv2

    capture = LitCapture(ManualClock())
    capture.keeps_exposure = False
    source = _watch(monkeypatch, capture, 120)
    assert capture.was_set[cv2.CAP_PROP_AUTO_EXPOSURE] == 3
    assert caplog.text.count("each lock changed the picture") == 1
    assert source.automatic is not None
    assert source.automatic.text == "automatic: the camera can't hold them"


def test_a_camera_without_automatic_controls_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    refused = (cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_AUTO_WB, cv2.CAP_PROP_AUTOFOCUS)
    source = _watch(monkeypatch, LitCapture(ManualClock(), refused), 10)
    assert source.automatic is None


def test_without_the_lock_the_settings_of_other_programs_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    capture = LitCapture(ManualClock())
    _watch(monkeypatch, capture, 10, lock=False).close()
    assert set(capture.was_set) == {cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS}

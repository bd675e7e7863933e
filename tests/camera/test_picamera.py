"""The Pi camera's adapter against a fake picamera2 that behaves like the real one where it matters."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from edge_daemon.camera.picamera import PicameraControls, PicameraOptions, PicameraSource
from edge_daemon.errors import CameraError
from edge_daemon.fakes import HandClock
from tests.camera import fake_picamera2
from tests.camera.fake_picamera2 import SCENE_TOP_LEFT, Rig

SMALL = PicameraOptions(size=(64, 48))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return fake_picamera2.install(monkeypatch)


def _open(options: PicameraOptions = SMALL, clock: HandClock | None = None) -> PicameraSource:
    source = PicameraSource(options, clock or HandClock())
    source.open()
    return source


def test_frames_are_rgb(rig: Rig) -> None:
    image = _open().read().image
    assert image.shape == (48, 64, 3)
    assert tuple(image[0, 0]) == SCENE_TOP_LEFT
    assert tuple(image[-1, -1]) == (0, 0, 0)


def test_a_frame_outlives_its_buffer_and_every_request_is_released(rig: Rig) -> None:
    source = _open()
    first = source.read()
    kept = first.image.copy()
    for _ in range(20):
        source.read()
    assert np.array_equal(first.image, kept)
    assert not first.image.flags.writeable
    assert rig.requests_out == 0


@pytest.mark.parametrize(
    ("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))]
)
def test_rotation_turns_clockwise_and_keeps_the_size_asked_for(
    rig: Rig, rotation: int, corner: tuple[int, int]
) -> None:
    options = PicameraOptions(size=(64, 48), rotation=rotation)  # type: ignore[arg-type]
    image = _open(options).read().image
    assert image.shape == (48, 64, 3)
    assert tuple(image[corner]) == SCENE_TOP_LEFT
    assert (image.any(axis=2)).mean() == 0.25


def test_half_turns_are_left_to_the_isp(rig: Rig) -> None:
    _open(PicameraOptions(size=(64, 48), rotation=180))
    assert rig.configuration["transform"].hflip
    assert rig.configuration["transform"].vflip


def test_without_fixed_controls_only_the_frame_rate_is_set(rig: Rig) -> None:
    _open(PicameraOptions(fps=20))
    assert rig.configuration["controls"] == {"FrameDurationLimits": (50_000, 50_000)}
    assert rig.configuration["queue"] is False


def test_fixed_controls_reach_the_camera(rig: Rig) -> None:
    controls = PicameraControls(exposure_us=8000, gain=2.0, colour_gains=(1.5, 1.2))
    _open(PicameraOptions(controls=controls))
    sent = rig.configuration["controls"]
    assert (sent["ExposureTime"], sent["AnalogueGain"], sent["ColourGains"]) == (8000, 2.0, (1.5, 1.2))


def test_a_long_exposure_slows_the_frame_rate_instead_of_being_cut(rig: Rig) -> None:
    _open(PicameraOptions(fps=30, controls=PicameraControls(exposure_us=500_000)))
    assert rig.configuration["controls"]["FrameDurationLimits"] == (500_000, 500_000)


@pytest.mark.parametrize(("dioptres", "mode"), [(None, "continuous"), (4.0, "manual")])
def test_a_camera_with_a_focus_motor_focuses(rig: Rig, dioptres: float | None, mode: str) -> None:
    rig.controls = (*rig.controls, "AfMode", "LensPosition")
    _open(PicameraOptions(controls=PicameraControls(focus_dioptres=dioptres)))
    assert rig.configuration["controls"]["AfMode"] == mode
    assert rig.configuration["controls"].get("LensPosition") == dioptres


def test_a_control_the_camera_lacks_is_named_and_the_camera_let_go(rig: Rig) -> None:
    with pytest.raises(CameraError, match="no control LensPosition"):
        _open(PicameraOptions(controls=PicameraControls(focus_dioptres=2.0)))
    assert rig.owner is None


def test_a_camera_without_frame_limits_still_opens(rig: Rig) -> None:
    rig.controls = ()
    _open().read()
    assert rig.configuration["controls"] == {}


def test_the_exposure_is_stamped_by_the_sensor(rig: Rig) -> None:
    clock = HandClock(500.0)
    rig.stamp_s = 499.9
    frame = _open(clock=clock).read()
    assert frame.captured_s == pytest.approx(499.9)
    assert (clock.utc() - frame.captured_at).total_seconds() == pytest.approx(0.1)


@pytest.mark.parametrize("stamp_s", [0.0, 501.0, 100.0])
def test_a_stamp_of_another_clock_is_not_believed(rig: Rig, stamp_s: float) -> None:
    rig.stamp_s = stamp_s
    assert _open(clock=HandClock(500.0)).read().captured_s == 500.0


def test_a_missing_camera_is_named_with_a_hint(rig: Rig) -> None:
    with pytest.raises(CameraError, match="no camera 1: libcamera finds 1; check the ribbon cable"):
        _open(PicameraOptions(index=1))


def test_a_busy_camera_says_that_another_program_may_hold_it(rig: Rig) -> None:
    rig.held_by_another = True
    with pytest.raises(CameraError, match="another program may hold it"):
        _open()


def test_a_camera_without_its_memory_opens_once_the_memory_is_there(rig: Rig) -> None:
    rig.no_memory = True
    source = PicameraSource(SMALL, HandClock())
    with pytest.raises(CameraError, match="dmaHeap"):
        source.open()
    rig.no_memory = False
    source.open()
    assert source.read().seq == 0


def test_a_stalled_camera_is_lost_and_can_be_opened_again(rig: Rig) -> None:
    source = _open()
    seen = source.read().seq
    rig.stalled = True
    with pytest.raises(CameraError, match="no frame for 5 s"):
        source.read()
    source.close()
    assert rig.owner is None
    rig.stalled = False
    source.open()
    assert source.read().seq == seen + 1


def test_an_unplugged_camera_is_an_error_with_its_reason(rig: Rig) -> None:
    source = _open()
    rig.unplugged = True
    with pytest.raises(CameraError, match="frontend has timed out"):
        source.read()


def test_a_fault_while_closing_is_logged_and_not_raised(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _open()

    def fail() -> None:
        raise RuntimeError("already gone")

    monkeypatch.setattr(rig.owner, "close", fail)
    with caplog.at_level(logging.WARNING):
        source.close()
    assert "did not close cleanly: already gone" in caplog.text


def test_without_picamera2_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match="apt install python3-picamera2"):
        _open()

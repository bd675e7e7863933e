"""The Pi camera's source with a fake picamera2."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.board.identity import Board
from edge_daemon.camera.picamera import PicameraSource
from edge_daemon.config.camera import PicameraControls, PicameraOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.system.testing import ManualClock
from tests.harness import fake_picamera2
from tests.harness.fake_isp import IMX219, IMX296, IMX477, IMX708, OV5647, Sensor
from tests.harness.fake_picamera2 import SCENE_TOP_LEFT, Rig

SMALL = PicameraOptions(size=(64, 48))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return fake_picamera2.install(monkeypatch)


def _open(options: PicameraOptions = SMALL, clock: ManualClock | None = None) -> PicameraSource:
    source = PicameraSource(options, clock or ManualClock())
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
def test_rotation_is_clockwise_and_keeps_the_configured_size(
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


def test_a_missing_control_is_named_and_the_camera_released(rig: Rig) -> None:
    with pytest.raises(CameraError, match="no control LensPosition"):
        _open(PicameraOptions(controls=PicameraControls(focus_dioptres=2.0)))
    assert rig.owner is None


def test_a_camera_without_frame_limits_still_opens(rig: Rig) -> None:
    rig.controls = ()
    _open().read()
    assert rig.configuration["controls"] == {}


@pytest.mark.parametrize(
    ("sensor", "mode"),
    [
        (IMX219, (1640, 1232)),
        (IMX477, (2028, 1520)),
        (IMX708, (2304, 1296)),
        (OV5647, (1296, 972)),
        (IMX296, (1456, 1088)),
    ],
    ids=lambda value: value.model if isinstance(value, Sensor) else "",
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_a_small_picture_comes_from_a_mode_that_reads_the_whole_sensor(
    rig: Rig, sensor: Sensor, mode: tuple[int, int], rotation: int
) -> None:
    rig.sensor = sensor
    source = _open(PicameraOptions(rotation=rotation))  # type: ignore[arg-type]
    assert source.view is not None
    assert source.view.mode == mode
    crop = rig.controls_set["ScalerCrop"]
    assert source.view.crop == crop
    assert crop[2] == sensor.size[0] or crop[3] == sensor.size[1]
    shape = 3 / 4 if rotation else 4 / 3
    assert crop[2] / crop[3] == pytest.approx(shape, rel=0.01)
    assert abs(2 * crop[0] + crop[2] - sensor.size[0]) <= 1


def test_the_largest_mode_is_not_tried_when_a_smaller_one_shows_all(rig: Rig) -> None:
    rig.sensor = IMX708
    _open(PicameraOptions())
    assert (4608, 2592) not in rig.modes_tried
    assert rig.configuration["raw"] is None


def test_a_large_picture_gets_a_mode_of_its_size(rig: Rig) -> None:
    _open(PicameraOptions(size=(1920, 1440)))
    assert rig.configuration["sensor"]["output_size"] == (3280, 2464)


def test_the_field_of_view_and_too_high_a_frame_rate_are_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        _open(PicameraOptions(fps=90))
    assert "imx219, mode 1640x1232, crop 3280x2460 at 0,2 of 3280x2464" in caplog.text
    assert "at most 42 frames/s with its whole view, not 90" in caplog.text


def test_a_picture_of_another_shape_reports_its_share_of_the_sensor(rig: Rig) -> None:
    rig.sensor = IMX708
    view = _open(PicameraOptions(size=(640, 480))).view
    assert view is not None
    assert view.share == pytest.approx(0.75)


@pytest.mark.parametrize("by_path", [True, False])
def test_the_tuning_file_is_set_when_libcamera_reads_it(rig: Rig, tmp_path: Path, by_path: bool) -> None:
    rig.tunings["imx219_noir.json"] = {"version": 2.0}
    (tmp_path / "mine.json").write_text('{"version": 2.0}')
    name = str(tmp_path / "mine.json") if by_path else "imx219_noir.json"
    source = _open(PicameraOptions(size=(64, 48), tuning_file=name))
    assert rig.tuning == {"version": 2.0}

    source.close()
    _open()
    assert rig.tuning is None


def test_a_tuning_file_of_the_environment_is_used_without_the_option(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.json").write_text('{"version": 1.0}')
    monkeypatch.setenv("LIBCAMERA_RPI_TUNING_FILE", str(tmp_path / "mine.json"))
    for _ in range(2):
        source = _open()
        assert rig.tuning == {"version": 1.0}
        source.close()


def test_a_tuning_file_that_is_missing_or_damaged_is_named(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    for name in ("imx219_none.json", str(tmp_path / "bad.json")):
        with pytest.raises(CameraError, match=f"camera.tuning_file {name} can't be read") as caught:
            _open(PicameraOptions(tuning_file=name))
        assert "\n" not in str(caught.value)
    assert rig.owner is None


def test_the_exposure_avoids_the_flicker_of_lamps(rig: Rig) -> None:
    rig.controls = (*rig.controls, "AeFlickerMode", "AeFlickerPeriod")
    _open(PicameraOptions(controls=PicameraControls(flicker_period_us=10_000)))
    assert rig.controls_set["AeFlickerMode"] == "manual"
    assert rig.controls_set["AeFlickerPeriod"] == 10_000


def test_auto_focus_is_triggered_with_the_camera(rig: Rig) -> None:
    rig.controls = (*rig.controls, "AfMode", "AfTrigger", "LensPosition")
    _open(PicameraOptions(controls=PicameraControls(focus_mode="auto")))
    assert (rig.controls_set["AfMode"], rig.controls_set["AfTrigger"]) == ("auto", "start")


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_the_focus_window_is_a_part_of_the_rotated_picture(rig: Rig, rotation: int) -> None:
    rig.controls = (*rig.controls, "AfMode", "AfMetering", "AfWindows")
    controls = PicameraControls(focus_window=(0, 0, 0.25, 0.5))
    _open(PicameraOptions(rotation=rotation, controls=controls))  # type: ignore[arg-type]
    assert rig.controls_set["AfMetering"] == "windows"

    [(x, y, width, height)] = rig.controls_set["AfWindows"]
    left, top, wide, high = rig.controls_set["ScalerCrop"]
    sensor = np.zeros((high, wide), bool)
    sensor[y - top : y - top + height, x - left : x - left + width] = True
    # A half turn is applied before the window, a quarter turn after it.
    turned = np.rot90(sensor, 0 if rotation == 180 else -rotation // 90)
    rows, columns = turned.shape
    assert turned[: rows // 2 - 1, : columns // 4 - 1].all()
    assert turned.sum() == pytest.approx(turned.size / 8, rel=0.01)


@pytest.mark.parametrize(
    "controls",
    [
        PicameraControls(focus_mode="auto"),
        PicameraControls(focus_window=(0, 0, 1, 1)),
        PicameraControls(flicker_period_us=8333),
    ],
)
def test_a_missing_control_is_named_by_its_key(rig: Rig, controls: PicameraControls) -> None:
    with pytest.raises(CameraError, match=r"has no control \w+; leave camera\.controls\.f\w+ out"):
        _open(PicameraOptions(controls=controls))
    assert rig.owner is None


def test_a_module_without_colours_works(rig: Rig) -> None:
    rig.sensor = IMX296
    rig.controls = ("ExposureTime", "AnalogueGain", "FrameDurationLimits", "ScalerCrop")
    assert _open().read().image.shape == (48, 64, 3)


def test_the_second_of_two_cameras_is_used_and_a_third_is_missing(rig: Rig) -> None:
    rig.cameras = 2
    _open(PicameraOptions(size=(64, 48), index=1)).close()
    with pytest.raises(CameraError, match=r"finds 2;.*set camera\.index \(0 imx219, 1 imx219\)"):
        _open(PicameraOptions(index=2))


def test_the_frame_has_the_sensors_timestamp(rig: Rig) -> None:
    clock = ManualClock(500.0)
    rig.stamp_s = 499.9
    frame = _open(clock=clock).read()
    assert frame.captured_s == pytest.approx(499.9)
    assert (clock.utc() - frame.captured_at).total_seconds() == pytest.approx(0.1)


@pytest.mark.parametrize("stamp_s", [0.0, 501.0, 100.0])
def test_a_timestamp_of_another_clock_is_ignored(rig: Rig, stamp_s: float) -> None:
    rig.stamp_s = stamp_s
    assert _open(clock=ManualClock(500.0)).read().captured_s == 500.0


def test_a_missing_camera_is_named_with_a_hint(rig: Rig) -> None:
    with pytest.raises(CameraError, match="no camera 1: libcamera finds 1; check the ribbon cable"):
        _open(PicameraOptions(index=1))


def test_a_busy_camera_is_an_error_about_another_program(rig: Rig) -> None:
    rig.held_by_another = True
    with pytest.raises(CameraError, match="another program may hold it"):
        _open()


def test_a_camera_without_memory_opens_after_memory_is_free(rig: Rig) -> None:
    rig.no_memory = True
    source = PicameraSource(SMALL, ManualClock())
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


@pytest.mark.parametrize(
    ("board", "said"),
    [
        ("Raspberry Pi 4 Model B Rev 1.5", "apt install python3-picamera2"),
        ("", r"set camera\.type to v4l2, in the configuration or with --set camera\.type=v4l2$"),
    ],
)
def test_without_picamera2_the_error_says_what_to_do_on_this_board(
    monkeypatch: pytest.MonkeyPatch, board: str, said: str
) -> None:
    monkeypatch.setattr("edge_daemon.camera.picamera.read_board", lambda: Board(board, 4, 0))
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match=said):
        _open()

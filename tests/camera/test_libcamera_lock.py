"""The lock of a Pi camera's exposure, white balance and focus, with a fake picamera2."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

from edge_daemon.camera.picamera import PicameraSource
from edge_daemon.config.camera import PicameraControls, PicameraOptions
from edge_daemon.system.testing import ManualClock
from tests.harness import fake_picamera2
from tests.harness.fake_picamera2 import Rig

SMALL = PicameraOptions(size=(64, 48))
EXPOSURE = ("ExposureTime", "AnalogueGain", "ColourGains", "AwbEnable", "FrameDurationLimits", "ScalerCrop")
MODES = (*EXPOSURE, "ExposureTimeMode", "AnalogueGainMode")
FOCUS = ("AfMode", "LensPosition")
SCENE = np.linspace(40, 190, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return fake_picamera2.install(monkeypatch)


def _open(options: PicameraOptions = SMALL, clock: ManualClock | None = None) -> PicameraSource:
    source = PicameraSource(options, clock or ManualClock())
    source.open()
    return source


def _watch(rig: Rig, source: PicameraSource, clock: ManualClock, seconds: float) -> None:
    """Read frames at 15 frames/s."""
    for _ in range(round(seconds * 15)):
        clock.advance(1 / 15)
        rig.stamp_s = clock.monotonic()
        source.read()


@pytest.mark.parametrize("controls", [EXPOSURE, MODES], ids=["libcamera 0.4", "libcamera 0.5"])
def test_exposure_and_colour_are_locked_and_follow_a_lamp(
    rig: Rig, controls: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rig.controls, rig.isp.scene = controls, SCENE
    rig.isp.light, rig.isp.colour = 0.4, (1.9, 1.4)
    clock = ManualClock()
    source = _open(clock=clock)
    _watch(rig, source, clock, 15)
    assert set(rig.isp.manual) == {"ExposureTime", "AnalogueGain", "ColourGains"}
    assert rig.isp.level == pytest.approx(1.0, abs=0.05)
    assert rig.isp.colour_gains == pytest.approx((1.9, 1.4), abs=0.05)
    assert "camera 0: exposure locked (exposure 2" in caplog.text

    rig.isp.light, rig.isp.colour = 3.0, (1.5, 1.8)
    _watch(rig, source, clock, 3)
    assert rig.isp.level > 5
    _watch(rig, source, clock, 20)
    assert rig.isp.level == pytest.approx(1.0, abs=0.05)
    assert rig.isp.colour_gains == pytest.approx((1.5, 1.8), abs=0.05)
    assert len(rig.isp.manual) == 3
    assert "exposure is automatic again: the" in caplog.text


@pytest.mark.parametrize("controls", [EXPOSURE, MODES])
def test_a_locked_picture_is_the_one_before_the_lock(rig: Rig, controls: tuple[str, ...]) -> None:
    rig.controls, rig.isp.scene, rig.isp.light = controls, SCENE, 0.5
    clock = ManualClock()
    source = _open(clock=clock)
    _watch(rig, source, clock, 1.4)
    assert rig.isp.manual == {}
    before = source.read().image.astype(int)
    _watch(rig, source, clock, 10)
    assert rig.isp.manual
    assert np.abs(source.read().image - before).max() <= 5


def test_gain_made_by_the_isp_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.controls, rig.isp.scene = EXPOSURE, SCENE
    metadata = rig.isp.metadata
    monkeypatch.setattr(rig.isp, "metadata", lambda offered: metadata(offered) | {"DigitalGain": 1.5})
    clock = ManualClock()
    _watch(rig, _open(clock=clock), clock, 5)
    assert rig.controls_set["AnalogueGain"] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("fixed", "locked"),
    [
        (PicameraControls(exposure_us=9000), {"AnalogueGain", "ColourGains", "LensPosition"}),
        (PicameraControls(gain=2.0, focus_dioptres=1.0), {"ExposureTime", "ColourGains"}),
        (PicameraControls(focus_mode="continuous"), {"ExposureTime", "AnalogueGain", "ColourGains"}),
        (PicameraControls(exposure_us=9000, gain=1.0, colour_gains=(1.5, 1.8), focus_dioptres=1.0), set()),
    ],
)
@pytest.mark.parametrize("controls", [EXPOSURE, MODES])
def test_controls_that_are_configured_are_left_alone(
    rig: Rig, controls: tuple[str, ...], fixed: PicameraControls, locked: set[str]
) -> None:
    rig.controls, rig.isp.scene = (*controls, *FOCUS), SCENE
    clock = ManualClock()
    source = _open(PicameraOptions(size=(64, 48), controls=fixed), clock)
    source.read()
    configured = dict(rig.isp.manual)
    _watch(rig, source, clock, 10)
    assert rig.isp.manual.keys() - configured.keys() == locked
    rig.isp.light = 8.0
    _watch(rig, source, clock, 8)
    assert {name: rig.isp.manual[name] for name in configured} == configured


def test_a_focus_that_hunts_is_locked_in_the_end(rig: Rig) -> None:
    rig.controls, rig.isp.scene = (*MODES, *FOCUS), SCENE
    rig.isp.hunting = 1.0
    clock = ManualClock()
    source = _open(clock=clock)
    _watch(rig, source, clock, 10)
    assert rig.isp.manual == {}
    _watch(rig, source, clock, 10)
    assert "LensPosition" in rig.isp.manual


def test_without_the_lock_nothing_is_set(rig: Rig) -> None:
    rig.controls, rig.isp.scene = (*MODES, *FOCUS), SCENE
    clock = ManualClock()
    source = _open(PicameraOptions(size=(64, 48), lock=False), clock)
    _watch(rig, source, clock, 20)
    assert rig.isp.manual == {}
    assert source.automatic is None


def test_without_the_lock_its_modules_are_not_imported(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"edge_daemon.camera.{name}" for name in ("automatic_controls", "control_lock", "light")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    source = _open(PicameraOptions(size=(64, 48), lock=False))
    source.read()
    assert not set(names) & sys.modules.keys()


def test_a_camera_without_such_controls_works(rig: Rig) -> None:
    rig.controls = ("Brightness", "Contrast", "Saturation")
    source = _open()
    source.read()
    assert source.automatic is None


def test_a_refused_lock_does_not_lose_the_camera(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.controls, rig.isp.scene = EXPOSURE, SCENE
    clock = ManualClock()
    source = _open(clock=clock)

    def refuse(controls: dict[str, object]) -> None:
        raise RuntimeError("Control ExposureTime is read-only")

    monkeypatch.setattr(rig.owner, "set_controls", refuse)
    _watch(rig, source, clock, 30)
    assert caplog.text.count("the camera refuses ExposureTime") == 1


def test_a_camera_that_is_opened_again_gets_its_former_values(rig: Rig) -> None:
    rig.controls, rig.isp.scene, rig.isp.light = MODES, SCENE, 0.5
    clock = ManualClock()
    source = _open(clock=clock)
    _watch(rig, source, clock, 10)
    locked = dict(rig.isp.manual)
    source.close()
    rig.isp.manual.clear()
    rig.isp.light = 0.52
    source.open()
    _watch(rig, source, clock, 10)
    assert rig.isp.manual == locked


def test_a_configured_exposure_is_in_manual_mode(rig: Rig) -> None:
    rig.controls = MODES
    _open(PicameraOptions(size=(64, 48), controls=PicameraControls(exposure_us=7000))).read()
    assert rig.isp.exposure_us == 7000
    assert rig.controls_set["ExposureTimeMode"] == "manual"


def test_a_start_in_the_dark_is_logged_once_and_locked_in_the_light(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rig.controls, rig.isp.scene, rig.isp.light = MODES, SCENE, 1e-5
    clock = ManualClock()
    source = _open(clock=clock)
    _watch(rig, source, clock, 60)
    assert rig.isp.manual == {}
    assert caplog.text.count("exposure is automatic: too dark or too bright to lock") == 1
    rig.isp.light = 0.7
    _watch(rig, source, clock, 10)
    assert len(rig.isp.manual) == 3
    assert rig.isp.level == pytest.approx(1.0, abs=0.05)

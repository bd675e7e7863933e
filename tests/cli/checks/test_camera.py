"""The doctor's check of the camera: module, mode and crop, and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_daemon.cli.checks.camera import check_camera
from edge_daemon.cli.main import main
from edge_daemon.config.camera import (
    BrowserOptions,
    PicameraControls,
    PicameraOptions,
    StreamOptions,
    SyntheticOptions,
)
from edge_daemon.config.schema import Config
from tests.harness import fake_picamera2
from tests.harness.fake_isp import IMX708
from tests.harness.fake_picamera2 import Rig
from tests.harness.http_camera import HttpCamera, http_camera


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return fake_picamera2.install(monkeypatch)


def test_model_mode_and_crop_are_shown(rig: Rig) -> None:
    check = check_camera(Config(camera=PicameraOptions()))
    assert check.state == "ok"
    assert check.detail.startswith("640x480, brightness ")
    assert check.detail.endswith("imx219, mode 1640x1232, crop 3280x2460 at 0,2 of 3280x2464")
    assert check.hint == ""


def test_a_stream_is_read_and_its_fault_needs_no_hint_about_cables() -> None:
    with http_camera(HttpCamera()) as camera:
        good = check_camera(Config(camera=StreamOptions(url=f"{camera.address}/mjpeg/plain")))
        bad = check_camera(Config(camera=StreamOptions(url=f"{camera.address}/none")))
    assert (good.state, good.detail.split(",")[0]) == ("ok", "64x48")
    assert bad.state == "failed"
    assert bad.detail.endswith("/none has no stream at this path (404); check camera.url")
    assert bad.hint == ""


def test_a_browsers_camera_is_not_opened() -> None:
    check = check_camera(Config(camera=BrowserOptions()))
    assert (check.state, check.detail) == ("ok", "the camera of a browser that shows the page")


@pytest.mark.parametrize(("rotation", "size"), [(0, "[640, 360]"), (90, "[360, 640]")])
def test_a_crop_by_the_frame_s_shape_is_a_hint(rig: Rig, rotation: int, size: str) -> None:
    rig.sensor = IMX708
    config = Config(camera=PicameraOptions(rotation=rotation))  # type: ignore[arg-type]
    check = check_camera(config)
    assert check.state == "ok"
    assert f"camera.size {size} shows all of it" in check.hint


def test_the_size_that_the_hint_names_shows_all(rig: Rig) -> None:
    rig.sensor = IMX708
    assert check_camera(Config(camera=PicameraOptions(size=(640, 360)))).hint == ""


def test_tuning_and_the_other_camera_are_shown(rig: Rig) -> None:
    rig.cameras = 2
    rig.tunings["imx219_noir.json"] = {}
    check = check_camera(Config(camera=PicameraOptions(index=1, tuning_file="imx219_noir.json")))
    assert check.detail.endswith("tuning imx219_noir.json, camera 1 of 2 (0 imx219, 1 imx219)")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (PicameraOptions(), "exposure 20000 us, gain 1.00, red 1.50, blue 1.80 (locked)"),
        (PicameraOptions(lock=False), "exposure 10000 us, gain 2.00, red 1.50, blue 1.80 (not locked)"),
        (
            PicameraOptions(controls=PicameraControls(exposure_us=8000, gain=1.5, colour_gains=(1.2, 1.3))),
            "exposure 8000 us, gain 1.50, red 1.20, blue 1.30 (fixed)",
        ),
    ],
)
def test_the_controls_and_their_lock_are_shown(rig: Rig, options: PicameraOptions, text: str) -> None:
    rig.isp.light = 0.5
    rig.isp.gain = 2.0
    if not options.lock:
        rig.isp.manual = {"ExposureTime": 10_000, "AnalogueGain": 2.0}
    assert text in check_camera(Config(camera=options)).detail


def test_a_picture_that_is_too_dark_to_lock_is_shown(rig: Rig) -> None:
    rig.isp.scene = np.zeros((480, 640, 3), np.uint8)
    check = check_camera(Config(camera=PicameraOptions()))
    assert "(automatic: too dark or too bright to lock)" in check.detail
    assert check.state == "warning"


def test_a_picture_to_look_at_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "seen.jpg"
    for size in ((64, 48), (80, 60)):
        check = check_camera(Config(camera=SyntheticOptions(size=size)), picture)
        assert check.state == "ok"
        assert check.detail.endswith(f"see {picture}")
        with Image.open(picture) as image:
            assert image.size == size, "an earlier picture of the doctor is replaced"


@pytest.mark.parametrize("place", ["there.jpg", "missing/seen.jpg"])
def test_a_picture_that_can_not_be_written_is_one_line_before_any_check(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.jpg").write_bytes(b"mine")
    assert main(["doctor", "--picture", str(tmp_path / place)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert str(tmp_path / place) in printed.err
    assert (tmp_path / "there.jpg").read_bytes() == b"mine"

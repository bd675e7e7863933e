"""The Pi camera's second stream, scaled by the image processor, with a fake picamera2."""

from __future__ import annotations

import gc
import threading
from typing import Literal

import numpy as np
import pytest

from edge_daemon.camera.held_requests import MAX_HELD
from edge_daemon.camera.picamera import BUFFERS, PicameraSource
from edge_daemon.config.camera import PicameraControls, PicameraOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.system.testing import ManualClock
from tests.harness import fake_picamera2
from tests.harness.fake_picamera2 import SCENE_TOP_LEFT, Rig

SIZE = (320, 240)
NEEDED = 100 / 240


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return fake_picamera2.install(monkeypatch)


@pytest.fixture(params=["VC4", "PISP"])
def platform(rig: Rig, request: pytest.FixtureRequest) -> str:
    rig.platform = request.param
    return rig.platform


def opened(least_scale: float = NEEDED, **options: object) -> PicameraSource:
    source = PicameraSource(PicameraOptions(size=SIZE, **options), ManualClock(), least_scale)  # type: ignore[arg-type]
    source.open()
    return source


def test_the_small_picture_is_copied_and_the_large_one_only_when_asked_for(rig: Rig, platform: str) -> None:
    source = opened()
    frames = [source.read() for _ in range(3)]
    for frame in frames:
        small = frame.at_least(NEEDED)
        assert small.shape == (100, 134, 3)
        assert frame.size == SIZE
        assert np.abs(small[5, 5].astype(int) - SCENE_TOP_LEFT).max() <= 3
        assert small[-5, -5].max() <= 3
    assert rig.copies == ["lores"] * 3
    assert frames[-1].image.shape == (240, 320, 3)
    assert tuple(frames[-1].image[0, 0]) == SCENE_TOP_LEFT
    assert rig.copies == [*["lores"] * 3, "main"]


def test_the_second_stream_has_the_format_and_the_crop_of_its_processor(rig: Rig, platform: str) -> None:
    source = opened()
    [stream] = rig.second_streams
    assert stream == {"format": "YUV420" if platform == "VC4" else "BGR888", "size": (134, 100)}
    assert rig.configuration["buffer_count"] == MAX_HELD + BUFFERS
    assert source.view is not None
    crop = rig.controls_set["ScalerCrop"]
    assert rig.controls_set.get("ScalerCrops") == ([crop, crop] if platform == "PISP" else None)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_both_pictures_are_rotated(rig: Rig, platform: str, rotation: Literal[0, 90, 180, 270]) -> None:
    frame = opened(100 / 240, rotation=rotation).read()
    small, large = frame.at_least(NEEDED), frame.image
    assert (small.shape, large.shape) == ((100, 134, 3), (240, 320, 3))
    corner = {0: (2, 2), 90: (2, -3), 180: (-3, -3), 270: (-3, 2)}[rotation]
    for image in (small, large):
        assert np.abs(image[corner].astype(int) - SCENE_TOP_LEFT).max() <= 3
        assert (image.max(axis=2) > 100).mean() == pytest.approx(0.25, abs=0.02)
    assert not small.flags.writeable
    assert not large.flags.writeable


def test_at_most_four_frames_are_held_and_the_camera_never_lacks_a_buffer(rig: Rig) -> None:
    source = opened()
    kept: list[Frame] = []
    for _ in range(30):
        kept.append(source.read())
        assert rig.requests_out <= MAX_HELD
    assert [frame.image.shape[0] for frame in kept[-MAX_HELD:]] == [240] * MAX_HELD
    assert kept[0].image.shape[0] == 100, "what was released is the small picture"


def test_the_buffers_of_frames_that_nobody_has_are_given_back(rig: Rig) -> None:
    source = opened()
    for _ in range(20):
        source.read()
    gc.collect()
    source.read()
    assert rig.requests_out <= 2, "the latest frame, and the one before"


def test_closing_gives_all_buffers_back_and_frames_stay_usable(rig: Rig) -> None:
    source = opened()
    frames = [source.read() for _ in range(3)]
    source.close()
    assert rig.requests_out == 0
    assert rig.owner is None
    assert frames[0].image.shape == (100, 134, 3)
    del frames
    gc.collect()
    source.open()
    assert source.read().image.shape == (240, 320, 3)


def test_another_thread_may_copy_while_frames_are_read(rig: Rig) -> None:
    source = opened()
    latest = [source.read()]
    shapes: set[tuple[int, ...]] = set()

    def copy() -> None:
        for _ in range(200):
            shapes.add(latest[0].image.shape)

    copier = threading.Thread(target=copy)
    copier.start()
    while copier.is_alive():
        latest[0] = source.read()
    copier.join()
    assert shapes <= {(240, 320, 3), (100, 134, 3)}
    assert rig.requests_out <= MAX_HELD


def test_the_scales_that_were_asked_for_are_copied_with_the_next_frame(rig: Rig) -> None:
    source = opened()
    frame = source.read()
    frame.at_least(0.9)
    rig.copies.clear()
    large = source.read()
    assert rig.copies == ["main"]
    assert large.at_hand().shape == (240, 320, 3)
    assert large.at_least(NEEDED).shape == (100, 134, 3)


@pytest.mark.parametrize(("least", "second"), [(1.0, False), (0.75, False), (0.7, True), (0.2, True)])
def test_there_is_a_second_stream_where_it_is_small(rig: Rig, least: float, second: bool) -> None:
    frame = opened(least).read()
    assert bool(rig.second_streams) is second
    assert rig.configuration["buffer_count"] == (MAX_HELD + BUFFERS if second else BUFFERS)
    assert frame.at_least(least).shape[0] == pytest.approx(240 * least if second else 240, abs=2)


def test_it_can_be_switched_off(rig: Rig) -> None:
    opened(second_stream=False)
    assert not rig.second_streams


def test_a_large_picture_whose_buffers_would_take_much_memory_has_none(rig: Rig) -> None:
    PicameraSource(PicameraOptions(size=(3280, 2464)), ManualClock(), 0.1).open()
    assert not rig.second_streams


def test_a_camera_that_refuses_it_delivers_one_stream(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.refuses_second_stream = True
    with caplog.at_level("INFO"):
        frame = opened().read()
    assert frame.at_least(NEEDED).shape == (240, 320, 3)
    assert rig.requests_out == 0
    assert "camera 0 has no second stream (Invalid camera configuration)" in caplog.text


def test_a_camera_without_an_image_processor_has_one_stream(rig: Rig) -> None:
    rig.controls = ()
    opened().read()
    assert not rig.second_streams


def test_a_wrong_control_is_an_error_with_two_streams_too(rig: Rig) -> None:
    with pytest.raises(CameraError, match="no control LensPosition"):
        opened(controls=PicameraControls(focus_dioptres=2.0))
    assert rig.owner is None


def test_exposure_is_locked_with_two_streams(rig: Rig) -> None:
    clock = ManualClock()
    source = PicameraSource(PicameraOptions(size=SIZE), clock, NEEDED)
    source.open()
    rig.isp.scene = np.random.default_rng(0).integers(60, 160, (240, 320, 3), dtype=np.uint8)
    for _ in range(100):
        clock.advance(0.1)
        source.read()
    assert source.automatic is not None
    assert source.automatic.text == "locked"
    assert "main" not in rig.copies


def test_a_stalled_camera_with_held_frames_can_be_opened_again(rig: Rig) -> None:
    source = opened()
    kept = [source.read() for _ in range(3)]
    rig.stalled = True
    with pytest.raises(CameraError, match="no frame for 5 s"):
        source.read()
    source.close()
    rig.stalled = False
    source.open()
    assert source.read().seq == kept[-1].seq + 1
    assert rig.requests_out == 1

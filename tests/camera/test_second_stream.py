"""The Pi camera's second stream, scaled by the image processor, with a fake picamera2."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from edge_daemon.camera.held_requests import MAX_HELD
from edge_daemon.camera.picamera import BUFFERS, PicameraSource
from edge_daemon.camera.second_stream import OVERSAMPLING, agrees
from edge_daemon.config.camera import PicameraControls, PicameraOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.system.testing import ManualClock
from tests.harness import fake_picamera2
from tests.harness.fake_picamera2 import SCENE_TOP_LEFT, Rig

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

SIZE = (320, 240)
NEEDED = 0.2
"""With the oversampling the second stream has 0.3 of the sides."""


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    return fake_picamera2.install(monkeypatch)


@pytest.fixture(params=["VC4", "PISP"])
def platform(rig: Rig, request: pytest.FixtureRequest) -> str:
    rig.platform = request.param
    return rig.platform


def detailed() -> Image:
    """Return a scene of blocks of 2 x 2 pixels."""
    blocks = np.random.default_rng(0).integers(60, 160, (120, 160, 3), dtype=np.uint8)
    return blocks.repeat(2, axis=0).repeat(2, axis=1)


def opened(min_scale: float = NEEDED, **options: object) -> PicameraSource:
    source = PicameraSource(PicameraOptions(size=SIZE, **options), ManualClock(), min_scale)  # type: ignore[arg-type]
    source.open()
    return source


def test_the_small_picture_is_copied_and_the_large_one_only_when_asked_for(rig: Rig, platform: str) -> None:
    source = opened()
    source.read()  # is compared
    rig.copies.clear()
    frames = [source.read() for _ in range(3)]
    for frame in frames:
        small = frame.at_least(NEEDED)
        assert small.shape == (72, 96, 3)
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
    assert stream == {"format": "YUV420" if platform == "VC4" else "BGR888", "size": (96, 72)}
    assert rig.configuration["buffer_count"] == MAX_HELD + BUFFERS
    assert source.view is not None
    crop = rig.controls_set["ScalerCrop"]
    assert rig.controls_set.get("ScalerCrops") == ([crop, crop] if platform == "PISP" else None)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_both_pictures_are_rotated(rig: Rig, platform: str, rotation: Literal[0, 90, 180, 270]) -> None:
    frame = opened(rotation=rotation).read()
    small, large = frame.at_least(NEEDED), frame.image
    assert (small.shape, large.shape) == ((72, 96, 3), (240, 320, 3))
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
    assert kept[0].image.shape[0] == 72, "what was released is the small picture"


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
    assert frames[0].image.shape == (72, 96, 3)
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
    assert shapes <= {(240, 320, 3), (72, 96, 3)}
    assert rig.requests_out <= MAX_HELD


def test_the_scales_that_were_asked_for_are_copied_with_the_next_frame(rig: Rig) -> None:
    source = opened()
    frame = source.read()
    frame.at_least(0.9)
    rig.copies.clear()
    large = source.read()
    assert rig.copies == ["main"]
    assert large.smallest_loaded().shape == (240, 320, 3)
    assert large.at_least(NEEDED).shape == (72, 96, 3)


@pytest.mark.parametrize(
    ("platform", "least", "second"),
    [
        ("PISP", 1.0, False),
        ("PISP", 0.5, False),
        ("PISP", 0.45, True),
        ("VC4", 0.3, False),
        ("VC4", 0.1, True),
    ],
)
def test_there_is_a_second_stream_where_it_costs_less(
    rig: Rig, platform: str, least: float, second: bool
) -> None:
    rig.platform = platform
    frame = opened(least).read()
    assert bool(rig.second_streams) is second
    assert rig.configuration["buffer_count"] == (MAX_HELD + BUFFERS if second else BUFFERS)
    height = OVERSAMPLING * 240 * least if second else 240
    assert frame.at_least(least).shape[0] == pytest.approx(height, abs=2)


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
    rig.isp.scene = detailed()
    for _ in range(100):
        clock.advance(0.1)
        source.read()
    assert source.automatic is not None
    assert source.automatic.text == "locked"
    assert rig.copies.count("main") == 1, "the comparison of the streams"


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


@pytest.mark.parametrize("scaling", ["mean", "nearest"])
def test_a_processor_that_skips_pixels_is_found_out_and_its_second_stream_left(
    rig: Rig, platform: str, scaling: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig.isp.scene, rig.scaling = detailed(), scaling
    source = opened()
    source.read()
    frame = source.read()
    if scaling == "mean":
        assert frame.at_least(NEEDED).shape == (72, 96, 3)
        assert not caplog.text
        return
    assert frame.at_least(NEEDED).shape == (240, 320, 3)
    assert "its second stream is not its picture, reduced; it is not used" in caplog.text
    del frame
    rig.copies.clear()
    for _ in range(10):
        source.read()
    assert set(rig.copies) == {"main"}
    assert rig.requests_out <= 1


def test_streams_are_compared_until_the_scene_shows_detail(rig: Rig) -> None:
    source = opened()
    for _ in range(40):
        source.read()
    assert rig.copies.count("main") == 3
    rig.isp.scene = detailed()
    for _ in range(40):
        source.read()
    assert rig.copies.count("main") == 4


def test_small_pictures_of_another_crop_or_colour_do_not_agree() -> None:
    scene = detailed()
    small = scene.reshape(60, 4, 80, 4, 3).mean(axis=(1, 3)).astype(np.uint8)
    assert agrees(scene, small)
    assert agrees(scene, small[::-1]) is False
    assert agrees(scene, np.minimum(small + 10, 255).astype(np.uint8)) is False
    plain = np.full_like(scene, 100)
    assert agrees(plain, plain[::4, ::4]) is None

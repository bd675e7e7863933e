"""Contract of a frame source, for all implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from edge_daemon.camera.browser import BrowserSource
from edge_daemon.camera.factory import CameraOptions, open_camera
from edge_daemon.camera.opencv import open_video
from edge_daemon.camera.picamera import PicameraSource
from edge_daemon.camera.replay import ReplaySource
from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.camera.stream import StreamSource
from edge_daemon.camera.v4l2 import V4l2Source
from edge_daemon.config.camera import (
    BrowserOptions,
    PicameraOptions,
    ReplayOptions,
    StreamOptions,
    SyntheticOptions,
    V4l2Options,
)
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.interfaces import FrameSource
from edge_daemon.domain.types import Frame
from edge_daemon.system.picture_slot import PictureSlot
from edge_daemon.system.testing import ManualClock
from tests.harness import fake_picamera2
from tests.harness.http_camera import HttpCamera, http_camera, jpeg
from tests.harness.video_clips import write_clip

Build = Callable[[Path, ManualClock, pytest.MonkeyPatch], FrameSource]


def _picamera(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    fake_picamera2.install(monkeypatch)
    return PicameraSource(PicameraOptions(size=(64, 48), rotation=90), clock)


def _v4l2(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    clip = write_clip(folder / "clip.avi")
    return V4l2Source(V4l2Options(device="/dev/null"), clock, lambda device, settings: open_video(clip))


def _folder(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    for number in range(4):
        PIL.Image.new("RGB", (64, 48), (number, 20, 30)).save(folder / f"{number}.png")
    return ReplaySource(ReplayOptions(path=str(folder), loop=True), clock, sleep=clock.sleep)


def _video(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    options = ReplayOptions(path=str(write_clip(folder / "clip.avi")), fps=10)
    return ReplaySource(options, clock, sleep=clock.sleep)


def _raw(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    np.save(folder / "video.npy", np.arange(4, dtype=np.uint8).repeat(48 * 64 * 3).reshape(4, 48, 64, 3))
    return ReplaySource(ReplayOptions(path=str(folder / "video.npy"), loop=True), clock, sleep=clock.sleep)


def _animation(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    first, *others = (PIL.Image.new("RGB", (64, 48), (60 * number, 20, 30)) for number in range(4))
    first.save(folder / "video.gif", save_all=True, append_images=others)
    return ReplaySource(ReplayOptions(path=str(folder / "video.gif"), loop=True), clock, sleep=clock.sleep)


def _tray(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    return SyntheticSource(SyntheticOptions(size=(64, 48)), clock, sleep=clock.sleep)


def _belt(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    return SyntheticSource(SyntheticOptions(scene="belt", size=(64, 48)), clock, sleep=clock.sleep)


def _stream(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    camera = _http_camera()
    return StreamSource(StreamOptions(url=f"{camera.address}/mjpeg/plain"), clock, sleep=clock.sleep)


def _browser(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    class Browser(PictureSlot):
        """Gives the next picture when one is waited for."""

        def pop(self, timeout_s: float) -> tuple[float, bytes] | None:
            self.put(jpeg("red"), clock.monotonic())
            return super().pop(timeout_s)

    return BrowserSource(clock, Browser("nobody"))


@cache
def _http_camera() -> HttpCamera:
    return _STACK.enter_context(http_camera(HttpCamera()))


_STACK = ExitStack()


@pytest.fixture(scope="module", autouse=True)
def _servers() -> Iterator[None]:
    with _STACK:
        yield


@pytest.fixture(params=[_picamera, _v4l2, _stream, _browser, _folder, _video, _animation, _raw, _tray, _belt])
def source(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrameSource:
    build: Build = request.param
    return build(tmp_path, ManualClock(), monkeypatch)


def _next(source: FrameSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


def test_frames_are_rgb_uint8_contiguous_and_read_only(source: FrameSource) -> None:
    source.open()
    image = _next(source).image
    assert image.dtype == np.uint8
    assert image.shape == (48, 64, 3)
    assert image.flags.c_contiguous
    assert not image.flags.writeable
    source.close()


def test_a_frame_keeps_its_pixels_while_others_are_read_and_after_close(source: FrameSource) -> None:
    source.open()
    first = _next(source)
    pixels = first.image.copy()
    others = [_next(source) for _ in range(3)]
    source.close()
    assert np.array_equal(first.image, pixels)
    assert not any(np.shares_memory(first.image, other.image) for other in others)


def test_seq_increases_across_reopening(source: FrameSource) -> None:
    seqs = []
    for _ in range(3):
        source.open()
        seqs += [_next(source).seq for _ in range(2)]
        source.close()
    assert seqs == list(range(seqs[0], seqs[0] + 6))


def test_stamps_are_of_both_clocks_and_never_go_back(source: FrameSource) -> None:
    source.open()
    frames = [_next(source) for _ in range(3)]
    source.close()
    stamps = [frame.captured_s for frame in frames]
    assert stamps == sorted(stamps)
    assert all(stamp >= 1000.0 for stamp in stamps)
    assert all(frame.captured_at.tzinfo is not None for frame in frames)


def test_opening_twice_and_closing_twice_have_no_effect(source: FrameSource) -> None:
    source.close()
    source.open()
    source.open()
    _next(source)
    source.close()
    source.close()


def test_reading_while_closed_is_refused(source: FrameSource) -> None:
    with pytest.raises(CameraError, match="closed; open it"):
        source.read()


def test_lossless_follows_from_the_options(source: FrameSource) -> None:
    assert source.lossless in (True, False)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (PicameraOptions(), "PicameraSource"),
        (V4l2Options(), "V4l2Source"),
        (StreamOptions(url="http://host/x"), "StreamSource"),
        (BrowserOptions(), "BrowserSource"),
        (ReplayOptions(path="x"), "ReplaySource"),
        (SyntheticOptions(), "SyntheticSource"),
    ],
)
def test_the_factory_has_a_source_for_every_options_type(options: CameraOptions, name: str) -> None:
    assert type(open_camera(options, ManualClock())).__name__ == name

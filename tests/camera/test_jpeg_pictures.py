"""JPEG of a USB camera, decoded at the scale that is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge_daemon.camera import jpeg_pictures
from edge_daemon.camera.jpeg_pictures import JpegPictures
from edge_daemon.camera.opencv import decode_jpeg
from edge_daemon.camera.v4l2 import V4l2Source
from edge_daemon.config.camera import V4l2Options
from edge_daemon.domain.errors import CameraError
from edge_daemon.system.testing import ManualClock
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import REDUCED_JPEG_LEVELS

if TYPE_CHECKING:
    from edge_daemon.camera.opencv import Jpeg
    from edge_daemon.domain.types import Image


def encoded(image: Image) -> Jpeg:
    return np.asarray(cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1], np.uint8)


def photo() -> Image:
    """Return a photo of 640 x 480 pixels."""
    picture = cv2.imread(str(shared_path("images/cat.jpg")))
    assert picture is not None
    return np.asarray(cv2.resize(picture, (640, 480), interpolation=cv2.INTER_CUBIC)[:, :, ::-1], np.uint8)


class Decoder:
    """Decodes as `opencv.decode_jpeg`, and records the reductions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reductions: list[int] = []
        monkeypatch.setattr(jpeg_pictures, "decode_jpeg", self._decode)

    def _decode(self, jpeg: Jpeg, reduction: int) -> Image | None:
        self.reductions.append(reduction)
        return decode_jpeg(jpeg, reduction)


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    return Decoder(monkeypatch)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25, 0.125])
def test_a_reduced_picture_is_the_mean_of_the_pixels_of_the_full_one(scale: float) -> None:
    jpeg = encoded(photo())
    pictures = JpegPictures("cam", 0)
    full = pictures.add(jpeg).at_least(1.0)
    small = pictures.add(jpeg)
    assert small.at_least(scale).shape == (round(480 * scale), round(640 * scale), 3)
    mean = cv2.resize(full, (round(640 * scale), round(480 * scale)), interpolation=cv2.INTER_AREA)
    difference = np.abs(small.at_least(scale).astype(int) - mean).mean()
    assert difference < REDUCED_JPEG_LEVELS.limit


def test_the_scale_that_was_asked_for_is_decoded_with_the_next_picture(decoder: Decoder) -> None:
    jpeg = encoded(np.zeros((480, 640, 3), np.uint8))
    pictures = JpegPictures("cam", 0)
    pictures.add(jpeg).at_least(0.4)
    decoder.reductions.clear()
    for _ in range(3):
        picture = pictures.add(jpeg)
        assert picture.smallest_loaded().shape == (240, 320, 3)
    assert decoder.reductions == [2, 2, 2]
    assert picture.at_least(1.0).shape == (480, 640, 3)
    assert decoder.reductions == [2, 2, 2, 1]


def test_a_picture_that_is_needed_in_full_too_is_decoded_once(decoder: Decoder) -> None:
    jpeg = encoded(np.zeros((480, 640, 3), np.uint8))
    pictures = JpegPictures("cam", 0)
    for _ in range(3):
        decoder.reductions.clear()
        picture = pictures.add(jpeg)
        assert picture.at_least(0.4).shape == (240, 320, 3)
        assert picture.at_least(1.0).shape == (480, 640, 3)
    assert decoder.reductions == [1]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_every_scale_is_rotated(rotation: int) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    image[:240, :320] = 255
    pictures = JpegPictures("cam", rotation)
    picture = pictures.add(encoded(image))
    assert picture.size == ((640, 480) if rotation % 180 == 0 else (480, 640))
    for scale in (1.0, 0.5, 0.25):
        turned = np.rot90(image[:: round(1 / scale), :: round(1 / scale)], -rotation // 90)
        shown = pictures.add(encoded(image)).at_least(scale)
        assert shown.shape == turned.shape
        assert np.abs(shown.astype(int) - turned).mean() < 3


def test_a_size_that_is_no_multiple_is_rounded_up() -> None:
    pictures = JpegPictures("cam", 0)
    jpeg = encoded(np.zeros((99, 101, 3), np.uint8))
    pictures.add(jpeg)
    shapes = [pictures.add(jpeg).at_least(scale).shape[:2] for scale in (0.5, 0.25, 0.125)]
    assert shapes == [(50, 51), (25, 26), (13, 13)]


def test_a_damaged_picture_and_another_size_are_errors_of_one_line() -> None:
    pictures = JpegPictures("/dev/video0", 0)
    with pytest.raises(CameraError, match=r"^/dev/video0 sent a picture that can't be decoded"):
        pictures.add(np.frombuffer(b"\xff\xd8\xff" + bytes(50), np.uint8))
    pictures.add(encoded(np.zeros((480, 640, 3), np.uint8)))
    with pytest.raises(CameraError, match=r"^/dev/video0 changed the size"):
        pictures.add(encoded(np.zeros((240, 320, 3), np.uint8)))


class JpegCapture:
    """A fake cv2.VideoCapture of a camera with MJPEG: `delivers` is what comes undecoded."""

    def __init__(self, delivers: Any) -> None:
        self.delivers = delivers
        self.was_set: dict[int, float] = {}

    def isOpened(self) -> bool:
        return True

    def set(self, prop: int, value: float) -> bool:
        self.was_set[prop] = value
        return prop not in (cv2.CAP_PROP_AUTO_EXPOSURE, cv2.CAP_PROP_AUTO_WB, cv2.CAP_PROP_AUTOFOCUS)

    def get(self, prop: int) -> float:
        return float(cv2.VideoWriter.fourcc(*"MJPG")) if prop == cv2.CAP_PROP_FOURCC else 0.0

    def grab(self) -> bool:
        return True

    def retrieve(self) -> tuple[bool, Any]:
        if self.was_set.get(cv2.CAP_PROP_CONVERT_RGB) == 0:
            return True, self.delivers
        return True, np.full((480, 640, 3), (10, 20, 200), np.uint8)

    def release(self) -> None:
        pass


def opened(monkeypatch: pytest.MonkeyPatch, delivers: Any) -> V4l2Source:
    monkeypatch.setattr("cv2.VideoCapture", lambda device, api: JpegCapture(delivers))
    source = V4l2Source(V4l2Options(device="/dev/null", fourcc="MJPG"), ManualClock())
    source.open()
    return source


def test_a_usb_camera_with_mjpeg_decodes_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, decoder: Decoder
) -> None:
    image = np.full((480, 640, 3), (200, 20, 10), np.uint8)
    source = opened(monkeypatch, encoded(image).reshape(1, -1))
    source.read().at_least(0.4)
    decoder.reductions.clear()
    frame = source.read()
    assert frame.size == (640, 480)
    assert frame.at_least(0.4).shape == (240, 320, 3)
    assert decoder.reductions == [2]
    assert np.abs(frame.image.astype(int) - image).max() <= 4


def test_a_camera_that_sends_something_else_is_decoded_by_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(monkeypatch, np.zeros((480, 640, 2), np.uint8))
    assert source.read().image[0, 0].tolist() == [200, 20, 10]
    assert source.read().at_least(0.1).shape == (480, 640, 3)

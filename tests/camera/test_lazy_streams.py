"""Pictures over HTTP and of a browser, decoded at the scale that is needed."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest

from edge_daemon.camera import kept_pictures
from edge_daemon.camera.browser import BrowserSource, no_pictures
from edge_daemon.camera.kept_pictures import MAX_KEPT, KeptPictures, KeptPicturesClient
from edge_daemon.camera.reduced_pictures import ReducedPictures, reduce_image, reduced_size
from edge_daemon.camera.stream import StreamSource
from edge_daemon.config.camera import StreamOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.imaging.image_io import read_image, read_scaled
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.testing import ManualClock
from tests.harness.http_camera import HttpCamera, http_camera, jpeg
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import REDUCED_JPEG_LEVELS

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

Open = Callable[..., StreamSource]


def encoded(kind: str = "JPEG", size: tuple[int, int] = (640, 480)) -> bytes:
    """Return a photo as a file of this kind."""
    buffer = io.BytesIO()
    with PIL.Image.open(shared_path("images/cat.jpg")) as photo:
        photo.convert("RGB").resize(size, PIL.Image.Resampling.BICUBIC).save(buffer, kind)
    return buffer.getvalue()


def difference(image: Image, other: Image) -> float:
    """Return the mean difference of the levels; a picture of another size is reduced by its mean."""
    size = image.shape[1], image.shape[0]
    reduced = np.asarray(PIL.Image.fromarray(other).resize(size, PIL.Image.Resampling.BOX))
    return float(np.abs(image.astype(int) - reduced).mean())


@pytest.fixture
def camera() -> Iterator[HttpCamera]:
    with http_camera(HttpCamera(pictures=[encoded()])) as running:
        yield running


@pytest.fixture
def opened() -> Iterator[Open]:
    sources: list[StreamSource] = []

    def open_source(url: str, **options: object) -> StreamSource:
        settings = StreamOptions(url=url, fps=100, **options)  # type: ignore[arg-type]
        sources.append(StreamSource(settings, SystemClock(), environ={}))
        sources[-1].open()
        return sources[-1]

    yield open_source
    for source in sources:
        source.close()


def reduced_frame(source: StreamSource | BrowserSource, scale: float = 0.4) -> Frame:
    """Return a frame that is decoded at this scale alone, as after others that were needed at it."""
    source.read().at_least(scale)
    return source.read()


@pytest.mark.parametrize("path", ["mjpeg/plain", "picture"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_scale_that_was_asked_for_is_sent_with_the_next_picture(
    opened: Open, camera: HttpCamera, path: str, kind: str
) -> None:
    camera.pictures = [encoded(kind)]
    full = read_image(camera.pictures[0])
    source = opened(f"{camera.address}/{path}", every_s=0.1)
    first = source.read()
    assert np.array_equal(first.smallest_loaded(), full)
    assert first.at_least(0.4).shape == (240, 320, 3)
    frame = source.read()
    assert frame.size == (640, 480)
    assert frame.smallest_loaded().shape == (240, 320, 3)
    assert difference(frame.at_least(0.4), full) < REDUCED_JPEG_LEVELS.limit
    assert np.array_equal(frame.image, full)
    assert not frame.image.flags.writeable


def test_the_full_picture_is_that_of_its_own_frame(opened: Open, camera: HttpCamera) -> None:
    camera.pictures = [jpeg("red", (160, 120)), jpeg("blue", (160, 120))]
    source = opened(f"{camera.address}/mjpeg/plain")
    source.read().at_least(0.1)
    frames = [source.read() for _ in range(6)]
    assert {frame.smallest_loaded().shape for frame in frames} == {(15, 20, 3)}
    shown = [frame.smallest_loaded()[5, 5].argmax() for frame in frames]
    assert [frame.image[50, 50].argmax() for frame in frames] == shown
    assert {frame.image.shape for frame in frames} == {(120, 160, 3)}


def test_a_scale_that_is_asked_for_after_the_request_does_not_hold_for_its_picture() -> None:
    decoded: list[int] = []

    def decode(content: bytes, reduction: int) -> Image:
        decoded.append(reduction)
        return read_scaled(content, "it", lambda size: reduced_size(size, reduction))

    pictures = ReducedPictures("cam", decode, reduce_image)
    pictures.add(encoded()).at_least(0.4)
    last = pictures.add(encoded())
    expected = pictures.expected()
    assert last.at_least(1.0).shape == (480, 640, 3)
    decoded.clear()
    assert pictures.add(encoded(), expected).smallest_loaded().shape == (240, 320, 3)
    assert decoded == [2]


def test_an_older_frame_and_one_of_a_closed_camera_show_the_reduced_picture(
    opened: Open, camera: HttpCamera
) -> None:
    source = opened(f"{camera.address}/mjpeg/plain")
    old = reduced_frame(source)
    others = [source.read() for _ in range(MAX_KEPT)]
    assert old.image.shape == (240, 320, 3)
    assert others[0].image.shape == (480, 640, 3)
    source.close()
    assert others[1].image.shape == (240, 320, 3)


def test_the_full_picture_is_loaded_while_the_stream_stalls(opened: Open, camera: HttpCamera) -> None:
    source = opened(f"{camera.address}/mjpeg/stalls")
    frame = reduced_frame(source)
    faults: list[CameraError] = []

    def read() -> None:
        try:
            source.read()
        except CameraError as exc:
            faults.append(exc)

    waiting = threading.Thread(target=read)
    waiting.start()
    started_s = time.monotonic()
    assert frame.image.shape == (480, 640, 3)
    assert time.monotonic() - started_s < 4
    assert waiting.is_alive()
    waiting.join()
    assert len(faults) == 1


def test_a_set_size_and_a_rotation_hold_at_every_scale(opened: Open, camera: HttpCamera) -> None:
    full = np.rot90(read_image(camera.pictures[0]), -1)
    source = opened(f"{camera.address}/mjpeg/plain", size=(240, 320), rotation=90)
    first = source.read()
    assert (first.size, first.image.shape) == ((240, 320), (320, 240, 3))
    assert difference(first.image, full) < 3 * REDUCED_JPEG_LEVELS.limit
    for scale in (0.5, 0.25, 0.125):
        frame = reduced_frame(source, scale)
        assert frame.smallest_loaded().shape == (320 * scale, 240 * scale, 3)
        assert difference(frame.smallest_loaded(), full) < 3 * REDUCED_JPEG_LEVELS.limit
    assert frame.image.shape == (320, 240, 3)


def test_a_changed_size_is_found_in_a_reduced_picture(opened: Open, camera: HttpCamera) -> None:
    camera.pictures = [jpeg("red", (64, 48))]
    source = opened(f"{camera.address}/mjpeg/plain")
    reduced_frame(source)
    camera.pictures = [jpeg("red", (63, 47))]  # half of it is 32 x 24, too
    with pytest.raises(CameraError, match="changed the size of its picture to 63x47"):
        [source.read().at_least(0.4) for _ in range(50)]


def test_a_damaged_picture_is_skipped_at_every_scale(opened: Open, camera: HttpCamera) -> None:
    full = read_image(camera.pictures[0])
    source = opened(f"{camera.address}/mjpeg/damaged")
    source.read().at_least(0.4)
    frames = [source.read() for _ in range(6)]
    assert {frame.smallest_loaded().shape for frame in frames} == {(240, 320, 3)}
    assert all(difference(frame.smallest_loaded(), full) < REDUCED_JPEG_LEVELS.limit for frame in frames)
    assert np.array_equal(frames[-1].image, full)


# The browser's camera


def test_a_browsers_picture_is_decoded_at_the_scale_that_was_asked_for() -> None:
    given = no_pictures()
    source = BrowserSource(ManualClock(), given)
    source.open()
    for _ in range(2):
        given.put(encoded(), 1000.0)
        frame = source.read()
        frame.at_least(0.4)
    assert frame.size == (640, 480)
    assert frame.smallest_loaded().shape == (240, 320, 3)
    source.close()
    assert np.array_equal(frame.image, read_image(encoded()))


def test_a_frame_of_before_a_reopening_is_decoded_after_it() -> None:
    given = no_pictures()
    source = BrowserSource(ManualClock(), given)
    source.open()
    given.put(encoded(), 1000.0)
    source.read().at_least(0.4)
    given.put(encoded(), 1000.0)
    old = source.read()
    source.close()
    source.open()
    given.put(jpeg("red"), 1000.0)
    assert source.read().size == (64, 48)
    assert np.array_equal(old.image, read_image(encoded()))
    source.close()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (jpeg("red", (63, 47)), "the browser's picture changed its size to 63x47"),
        (jpeg("red")[:-200], "the browser's picture is damaged"),
        (jpeg("red", (2010, 2000)), "the browser's picture has more than 4 megapixels"),
    ],
)
def test_a_browsers_picture_that_cannot_be_used_is_named(content: bytes, fault: str) -> None:
    given = no_pictures()
    source = BrowserSource(ManualClock(), given)
    source.open()
    for _ in range(2):
        given.put(jpeg("red"), 1000.0)
        source.read().at_least(0.4)
    given.put(content, 1000.0)
    with pytest.raises(CameraError, match=fault):
        source.read()


# The connection between the two processes


def test_what_the_child_keeps_is_loaded_by_number_and_anything_else_is_none() -> None:
    ours, theirs = socket.socketpair()
    kept = KeptPictures(lambda content, reduction: np.full((2, 3, 3), content[0] // reduction, np.uint8))
    serving = threading.Thread(target=kept.serve, args=(theirs,))
    serving.start()
    client = KeptPicturesClient(ours)
    for number in range(MAX_KEPT + 1):
        kept.add(bytes([100 + number]))
    last, oldest = client.load(MAX_KEPT, 2), client.load(1, 1)
    assert last is not None
    assert oldest is not None
    assert (last[0, 0, 0], oldest[0, 0, 0], oldest.shape) == (54, 101, (2, 3, 3))
    assert client.load(0, 1) is None
    assert client.load(MAX_KEPT + 1, 1) is None
    client.close()
    client.close()
    assert client.load(1, 1) is None
    serving.join(5)
    assert not serving.is_alive()


def test_a_child_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_pictures, "TIMEOUT_S", 0.05)
    ours, theirs = socket.socketpair()
    client = KeptPicturesClient(ours)
    assert client.load(0, 1) is None
    assert client.load(0, 1) is None
    assert len(theirs.recv(100)) == 9
    client.close()
    theirs.close()


def test_closing_ends_a_load_in_another_thread() -> None:
    ours, theirs = socket.socketpair()
    client = KeptPicturesClient(ours)
    found: list[Image | None] = []
    loading = threading.Thread(target=lambda: found.append(client.load(0, 1)))
    loading.start()
    theirs.recv(100)
    client.close()
    loading.join(2)
    assert found == [None]
    theirs.close()


@pytest.mark.parametrize("size", [(60_000, 60_000), (0, 5)])
def test_an_impossible_size_is_no_picture(size: tuple[int, int]) -> None:
    ours, theirs = socket.socketpair()
    client = KeptPicturesClient(ours)
    theirs.sendall(size[0].to_bytes(4, "little") + size[1].to_bytes(4, "little"))
    assert client.load(0, 1) is None
    client.close()
    theirs.close()

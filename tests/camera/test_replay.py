"""Frames from images, folders, videos and raw files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from edge_daemon.camera.replay import ReplaySource
from edge_daemon.config.camera import ReplayOptions
from edge_daemon.domain.errors import CameraError
from edge_daemon.domain.types import Frame
from edge_daemon.system.testing import ManualClock
from tests.harness.example_pictures import noise
from tests.harness.shared_files import shared_path
from tests.harness.video_clips import CLIP_COLOURS, nearest_colour, write_clip, write_video


def _open(path: Path, clock: ManualClock | None = None, **options: Any) -> ReplaySource:
    clock = clock or ManualClock()
    source = ReplaySource(ReplayOptions(path=str(path), **options), clock, sleep=clock.sleep)
    source.open()
    return source


def _all(source: ReplaySource, limit: int = 50) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < limit and (frame := source.read()):
        frames.append(frame)
    return frames


def _grey(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("L", (8, 6), level).save(path)
    return path


def _levels(frames: list[Frame]) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in frames]


def test_a_single_image_is_one_frame(tmp_path: Path) -> None:
    frames = _all(_open(_grey(tmp_path / "one.png", 7)))
    assert _levels(frames) == [7]
    assert frames[0].image.shape == (6, 8, 3)


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        _grey(tmp_path / f"frame{number}.png", number)
    (tmp_path / "notes.txt").write_text("not shown")
    assert _levels(_all(_open(tmp_path))) == [1, 9, 10]


def test_digits_that_are_no_number_stand_in_a_name(tmp_path: Path) -> None:
    for level, name in enumerate(("1²2", "²", f"{'9' * 200}")):
        _grey(tmp_path / f"{name}.png", level)
    assert sorted(_levels(_all(_open(tmp_path)))) == [0, 1, 2]


def test_subfolders_are_read_only_with_recursive(tmp_path: Path) -> None:
    _grey(tmp_path / "a.png", 1)
    _grey(tmp_path / "b" / "c.png", 2)
    assert _levels(_all(_open(tmp_path))) == [1]
    assert _levels(_all(_open(tmp_path, recursive=True))) == [1, 2]


def test_looping_starts_over_and_keeps_counting(tmp_path: Path) -> None:
    for level in (1, 2):
        _grey(tmp_path / f"{level}.png", level)
    frames = _all(_open(tmp_path, loop=True), limit=5)
    assert _levels(frames) == [1, 2, 1, 2, 1]
    assert [frame.seq for frame in frames] == [0, 1, 2, 3, 4]


def test_raw_frames_are_unchanged(tmp_path: Path) -> None:
    video = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    np.save(tmp_path / "video.npy", video)
    frames = _all(_open(tmp_path / "video.npy", loop=True), limit=3)
    np.testing.assert_array_equal([frame.image for frame in frames], video[[0, 1, 0]])


def test_one_raw_picture_is_one_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "one.NPY", np.full((4, 6, 3), 9, np.uint8))
    (tmp_path / "one.NPY.npy").rename(tmp_path / "one.NPY")
    assert _levels(_all(_open(tmp_path / "one.NPY"))) == [9]


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((2, 4, 6, 3), np.float32), r"holds float32 of shape \(2, 4, 6, 3\); raw frames are uint8"),
        (np.zeros((4, 6), np.uint8), r"holds uint8 of shape \(4, 6\)"),
        (np.zeros((0, 4, 6, 3), np.uint8), r"holds uint8 of shape \(0, 4, 6, 3\)"),
        (np.array([{}]), "can't be read as raw frames"),
    ],
)
def test_an_array_that_is_no_sequence_of_frames_is_named(
    array: np.ndarray, problem: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "video.npy", array)
    with pytest.raises(CameraError, match=problem) as caught:
        _open(tmp_path / "video.npy")
    assert str(tmp_path / "video.npy") in str(caught.value)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_raw_file_is_named(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "video.npy"
    np.save(path, np.zeros((2, 4, 6, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CameraError, match=r"video\.npy can't be read as raw frames"):
        _open(path)


def test_with_a_rate_frames_are_paced_and_may_be_dropped(tmp_path: Path) -> None:
    source = _open(_grey(tmp_path / "one.png", 1), loop=True, fps=5)
    frames = _all(source, limit=3)
    assert not source.lossless
    assert frames[2].captured_s - frames[0].captured_s == pytest.approx(0.4)


def test_without_a_rate_every_frame_counts_and_none_waits(tmp_path: Path) -> None:
    clock = ManualClock(10.0)
    source = _open(_grey(tmp_path / "one.png", 1), clock, loop=True)
    assert source.lossless
    assert {frame.captured_s for frame in _all(source, limit=20)} == {10.0}


def test_an_unreadable_image_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    _grey(tmp_path / "1.png", 1)
    (tmp_path / "2.png").write_bytes(b"no picture")
    _grey(tmp_path / "3.png", 3)
    source = _open(tmp_path)
    assert _levels(_all(source, limit=1)) == [1]
    with pytest.raises(CameraError, match=r"2\.png is not an image"):
        source.read()
    source.close()
    source.open()
    assert _levels(_all(source)) == [3]


def test_a_folder_can_be_opened_again_after_its_end(tmp_path: Path) -> None:
    _grey(tmp_path / "1.png", 1)
    source = _open(tmp_path)
    assert len(_all(source)) == 1
    assert source.read() is None
    source.close()
    source.open()
    assert [frame.seq for frame in _all(source)] == [1]


def test_rotation_is_clockwise(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    path = tmp_path / "corner.png"
    PIL.Image.fromarray(pixels).save(path)
    image = _all(_open(path, rotation=90))[0].image
    assert image.shape == (6, 4, 3)
    assert image[0, -1].min() == 255


def test_a_video_is_decoded_to_its_end(tmp_path: Path) -> None:
    frames = _all(_open(write_clip(tmp_path / "clip.avi")))
    assert tuple(nearest_colour(frame.image[20, 10]) for frame in frames) == CLIP_COLOURS


def test_a_video_loops(tmp_path: Path) -> None:
    frames = _all(_open(write_clip(tmp_path / "clip.avi"), loop=True), limit=6)
    assert nearest_colour(frames[4].image[20, 10]) == CLIP_COLOURS[0]
    assert nearest_colour(frames[5].image[20, 10]) == CLIP_COLOURS[1]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("video.ts", "mp4v"),
        ("video.mjpg", "MJPG"),
        ("video.wmv", "WMV2"),
        ("video.flv", "FLV1"),
        ("video.ogv", "VP80"),
        ("video.webm", "VP80"),
        ("video.3gp", "mp4v"),
    ],
)
def test_a_video_is_recognised_by_its_content(name: str, codec: str, tmp_path: Path) -> None:
    video = write_video(tmp_path / name, codec)
    for path in (video, tmp_path / "video", tmp_path / "photo.jpg"):
        video = video.rename(path)
        source = _open(video)
        assert len(_all(source)) == 10
        source.close()


@pytest.mark.parametrize("name", ["video.gif", "video.png", "video.webp"])
def test_an_animated_image_gives_all_its_frames(name: str, tmp_path: Path) -> None:
    pictures = [noise(seed) for seed in range(5)]
    pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], lossless=True)
    source = _open(tmp_path / name, loop=True)
    frames = _all(source, limit=7)
    source.close()
    assert len({frame.image.tobytes() for frame in frames}) == 5
    np.testing.assert_array_equal(frames[0].image, frames[5].image)


@pytest.mark.parametrize("options", [{}, {"save_all": True}])
def test_a_photo_with_a_second_picture_is_one_frame(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    noise(1).save(path, "MPO" if options else "JPEG", append_images=[noise(2)], **options)
    assert len(_all(_open(path))) == 1


def test_in_a_folder_pictures_are_found_by_content_and_others_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _grey(tmp_path / "a.png", 1).rename(tmp_path / "a.scan")
    _grey(tmp_path / ".thumbnails" / "b.png", 2)
    (tmp_path / "notes.txt").write_text("not shown")
    (tmp_path / ".hidden.png").write_text("not shown")
    assert _levels(_all(_open(tmp_path, recursive=True))) == [1]
    assert "1 other file skipped (notes.txt)" in caplog.text


def test_a_pipe_or_device_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(CameraError, match=r"pipe\.mp4 can't be read: it is a pipe, not a regular file"):
        _open(tmp_path / "pipe.mp4")
    with pytest.raises(CameraError, match="/dev/zero can't be read: it is a device"):
        _open(Path("/dev/zero"))


def test_a_photo_of_a_real_camera_is_read() -> None:
    frames = _all(_open(shared_path("images/imprinting/train"), recursive=True))
    assert len(frames) == 4
    assert all(frame.image.std() > 10 for frame in frames)


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="gone does not exist"):
        _open(tmp_path / "gone")


def test_an_empty_folder_is_an_error_with_the_recursive_option(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"holds no images; .*recursive"):
        _open(tmp_path)


def test_a_file_that_only_claims_to_be_a_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(CameraError, match=r"video\.mp4 is neither a picture nor a video"):
        _open(path)


def test_a_file_that_only_claims_to_be_an_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_text("hello")
    with pytest.raises(CameraError, match=r"photo\.jpg is neither a picture nor a video"):
        _open(path).read()

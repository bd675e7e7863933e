"""Frames of films at regular times, decoded by a real child process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge_daemon.camera import decoder_process
from edge_daemon.camera.video_decoder import film_frames
from edge_daemon.domain.errors import CameraError
from tests.harness.video_clips import CLIP_COLOURS, CLIP_SIZE, nearest_colour, write_clip, write_video


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mp4v"), ("avi", "MJPG"), ("webm", "VP80")])
def test_frames_come_with_the_films_times(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_video(tmp_path / f"film.{suffix}", codec, 24)  # 10 frames a second
    frames = list(film_frames(path, 0.7))
    assert [time_s for time_s, _ in frames] == pytest.approx([0.0, 0.7, 1.4, 2.1], abs=0.002)
    assert {image.shape for _, image in frames} == {(CLIP_SIZE[1], CLIP_SIZE[0], 3)}


def test_frames_are_rgb_and_each_is_given_at_an_interval_below_the_frame_time(tmp_path: Path) -> None:
    frames = list(film_frames(write_clip(tmp_path / "clip.avi"), 0.01))
    colours = [nearest_colour(image[20, 10]) for _, image in frames]
    assert colours == list(CLIP_COLOURS)
    assert [time_s for time_s, _ in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=0.002)


def test_an_interval_beyond_the_end_gives_the_first_frame(tmp_path: Path) -> None:
    assert [time_s for time_s, _ in film_frames(write_clip(tmp_path / "clip.avi"), 3600)] == [0.0]


@pytest.mark.parametrize("content", [b"", b"no film", bytes(100_000)])
def test_a_file_that_is_no_film_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(CameraError, match=r"x\.mp4 is neither a picture nor a video"):
        list(film_frames(tmp_path / "x.mp4", 1))


def test_a_film_cut_off_gives_what_it_holds(tmp_path: Path) -> None:
    path = write_video(tmp_path / "whole.avi", "MJPG", 40)
    (tmp_path / "cut.avi").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    frames = list(film_frames(tmp_path / "cut.avi", 0.1))
    assert 5 < len(frames) < 30


def test_a_decoder_that_crashes_or_stalls_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "clip.avi")
    command = ["/bin/sh", "-c", "kill -SEGV $$"]
    monkeypatch.setattr(decoder_process, "module_command", lambda *words: command)
    with pytest.raises(CameraError, match=r"makes the decoder crash \(SIGSEGV\); convert it"):
        list(film_frames(path, 1))
    command[2] = "head -c 100 /dev/zero"
    with pytest.raises(CameraError, match="invalid data instead of pictures"):
        list(film_frames(path, 1))
    command[2] = "exec sleep 60"
    monkeypatch.setattr(decoder_process, "STALL_S", 0.1)
    with pytest.raises(CameraError, match="its decoder sent nothing"):
        list(film_frames(path, 1))


def test_the_child_ends_when_the_reader_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    frames = film_frames(write_video(tmp_path / "film.avi", "MJPG", 2000), 0.1)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert started[0].poll() is not None
